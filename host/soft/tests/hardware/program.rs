//! Whole functions of the test itself: the guest has the program's memory at the same addresses.

use std::{env, fs, hint::black_box, ops::Range};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Exit, MemoryPlan, Until, state::reg};
use guestlab_soft::SoftCpu;

// They call no functions of other libraries, not even to copy memory: those are not in the guest's memory.

/// The sun and three planets, which pull each other. Returns the energy after some steps.
extern "C" fn planets(steps: u64) -> f64 {
    let (mut position, mut velocity, mut mass) = ([[0.0; 2]; 4], [[0.0; 2]; 4], [39.47; 4]);
    for planet in 1..4 {
        let number = planet as f64;
        position[planet] = [4.2 * number, 1.3 - number];
        velocity[planet] = [0.3 * number, 2.8 / number];
        mass[planet] = 0.04 / number;
    }
    let mut energy: f64 = 0.0;
    for _ in 0..steps {
        for a in 0..4 {
            for b in a + 1..4 {
                let (x, y) = (position[a][0] - position[b][0], position[a][1] - position[b][1]);
                let square: f64 = x * x + y * y;
                let pull = 0.01 / (square * square.sqrt());
                energy -= mass[a] * mass[b] / square.sqrt();
                for (axis, way) in [x, y].iter().enumerate() {
                    velocity[a][axis] -= way * mass[b] * pull;
                    velocity[b][axis] += way * mass[a] * pull;
                }
            }
        }
        for planet in 0..4 {
            position[planet][0] += 0.01 * velocity[planet][0];
            position[planet][1] += 0.01 * velocity[planet][1];
        }
    }
    energy
}

/// The Mandelbrot set. Returns a number that depends on each of its points.
extern "C" fn mandelbrot(size: u64) -> f64 {
    let mut sum = 0_u32;
    for row in 0..size {
        for column in 0..size {
            let (x, y) = (column as f32 * 3.0 / size as f32 - 2.0, row as f32 * 2.0 / size as f32 - 1.0);
            let (mut a, mut b, mut count) = (0.0_f32, 0.0_f32, 0_u32);
            while count < 50 && a * a + b * b < 4.0 {
                (a, b) = (a * a - b * b + x, 2.0 * a * b + y);
                count += 1;
            }
            sum = sum.wrapping_mul(31).wrapping_add(count);
        }
    }
    f64::from(sum)
}

/// Integers that an optimizing compiler puts into vectors.
extern "C" fn mixed(rounds: u64) -> f64 {
    let mut words = [0_u32; 8];
    for (index, word) in words.iter_mut().enumerate() {
        *word = index as u32;
    }
    for _ in 0..rounds {
        for word in &mut words {
            *word = (*word << 5 ^ *word >> 3).wrapping_add(0x9E37_79B9);
        }
    }
    f64::from(words.iter().fold(0, |all, word| all ^ word))
}

/// Guest-physical places. The program's pages are above them.
const TABLES: u64 = 0x1000;
const TABLES_END: u64 = 0x8_0000;
const RETURN: u64 = 0x8_0000;
const STACK: u64 = 0x9_0000;
const PAGES: u64 = 0x10_0000;

/// A CPU in 64-bit code that has the pages of the test's own program.
struct Guest {
    cpu: SoftCpu,
    start: CpuState,
    next_table: u64,
}

impl Guest {
    fn new() -> Self {
        let regions = program();
        let size: u64 = regions.iter().map(|region| region.end - region.start).sum();
        let mut start = CpuState::flat(CpuMode::Long, 0, 0, TABLES as u32);
        // OSFXSR, OSXMMEXCPT.
        start.cr4 |= 1 << 9 | 1 << 10;
        let cpu = SoftCpu::new(&MemoryPlan::below(PAGES + size), &start);
        let mut guest = Self { cpu, start, next_table: TABLES + 0x1000 };
        let mut physical = PAGES;
        for region in regions {
            let len = (region.end - region.start) as usize;
            // SAFETY: the region is mapped and can be read. The functions use nothing that other threads write.
            let bytes = unsafe { std::slice::from_raw_parts(region.start as *const u8, len) };
            guest.cpu.memory_mut().write(physical, bytes).expect("memory");
            for linear in region.step_by(0x1000) {
                guest.map(linear, physical);
                physical += 0x1000;
            }
        }
        guest.map(STACK - 0x1000, STACK - 0x1000);
        guest.map(RETURN, RETURN);
        // HLT.
        guest.cpu.memory_mut().write(RETURN, &[0xF4]).expect("memory");
        guest
    }

    fn map(&mut self, linear: u64, physical: u64) {
        let mut table = TABLES;
        for level in (1..4).rev() {
            let entry = table + 8 * (linear >> (12 + 9 * level) & 0x1FF);
            let mut value = [0; 8];
            self.cpu.memory().read(entry, &mut value).expect("memory");
            table = u64::from_le_bytes(value) & !0xFFF;
            if table == 0 {
                table = self.next_table;
                assert!(table < TABLES_END, "there are too many tables");
                self.next_table += 0x1000;
                self.put(entry, table | 7);
            }
        }
        self.put(table + 8 * (linear >> 12 & 0x1FF), physical | 7);
    }

    fn put(&mut self, address: u64, value: u64) {
        self.cpu.memory_mut().write(address, &value.to_le_bytes()).expect("memory");
    }

    /// Calls a function. Returns its result and the number of instructions.
    fn call(&mut self, function: extern "C" fn(u64) -> f64, argument: u64) -> (f64, u64) {
        let stack = STACK - 0x108;
        self.put(stack, RETURN);
        let mut state = self.start.clone();
        state.ip = function as *const () as u64;
        (state.general[reg::RSP], state.general[reg::RDI]) = (stack, argument);
        self.cpu.set_state(&state).expect("a state");
        let before = self.cpu.instructions().expect("a count");
        let mut exits = std::iter::from_fn(|| Some(self.cpu.run(Until::Exit).expect("it runs")));
        let exit = exits.find(|exit| *exit != Exit::Interrupted).expect("an exit");
        let state = self.cpu.state().expect("a state");
        assert_eq!((exit, state.ip), (Exit::Halt { interrupts: false }, RETURN + 1), "it returns");
        let result = f64::from_le_bytes(state.fpu.xmm[0][..8].try_into().expect("8 bytes"));
        (result, self.cpu.instructions().expect("a count") - before)
    }
}

/// Returns the regions of the program in memory.
fn program() -> Vec<Range<u64>> {
    let maps = fs::read_to_string("/proc/self/maps").expect("the regions of memory");
    let name = env::current_exe().expect("a program").display().to_string();
    let region = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let parse = |text| u64::from_str_radix(text, 16).ok();
        let is_program = rest.starts_with('r') && rest.ends_with(&name);
        is_program.then_some(parse(start)?..parse(end)?)
    };
    maps.lines().filter_map(region).collect()
}

#[test]
fn functions_of_this_program_have_the_results_that_they_have_here() {
    let mut guest = Guest::new();
    for (name, function, argument) in [
        ("planets", planets as extern "C" fn(u64) -> f64, 300),
        ("mandelbrot", mandelbrot, 40),
        ("mixed", mixed, 2_000),
    ] {
        let here = black_box(function)(black_box(argument));
        let (there, count) = guest.call(function, argument);
        println!("{name}: {there:e} after {count} instructions");
        assert_eq!(there.to_bits(), here.to_bits(), "{name}: {there:e}, not {here:e}");
        assert!(count > 10_000, "{name}: {count} instructions");
    }
}
