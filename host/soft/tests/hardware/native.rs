//! The machine's own CPU: one instruction is carried out with given registers.

use std::{
    arch::global_asm,
    mem::{offset_of, zeroed},
    ptr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    },
};

/// The size of a page.
pub const PAGE: usize = 4096;

/// The size of the pages of a test: code, data, and one without rights.
const SIZE: usize = 3 * PAGE;
/// The place in the page of code that has the address to go on at.
const ADDRESS: u8 = 64;
/// No exception.
pub const NO_TRAP: i64 = -1;

/// The registers before and after an instruction.
#[repr(C, align(64))]
#[derive(Clone)]
pub struct Frame {
    /// The area of FXSAVE.
    pub fx: [u8; 512],
    /// RAX to R15. RSP is the machine's own.
    pub general: [u64; 16],
    /// RFLAGS.
    pub flags: u64,
    /// The vector of the exception.
    pub trap: i64,
}

const GENERAL: usize = offset_of!(Frame, general);
const FLAGS: usize = offset_of!(Frame, flags);

static TRAP: AtomicI64 = AtomicI64::new(NO_TRAP);
/// The address of the instruction that runs, or 0.
static CODE: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn guestlab_test_run(frame: *mut Frame, code: *const u8);
    fn guestlab_test_back();
}

// The callee-saved registers are pushed, the frame's registers are loaded, and the code runs. It ends with a jump to
// `guestlab_test_back`, and so does the signal handler.
global_asm!(
    ".pushsection .data",
    ".balign 8",
    "guestlab_test_frame: .quad 0",
    "guestlab_test_code: .quad 0",
    "guestlab_test_rdi: .quad 0",
    "guestlab_test_mxcsr: .long 0x1F80",
    ".popsection",
    "guestlab_test_run:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov [rip + guestlab_test_frame], rdi",
    "mov [rip + guestlab_test_code], rsi",
    "fxrstor64 [rdi]",
    "push qword ptr [rdi + {flags}]",
    "popfq",
    "mov rax, [rdi + {general}]",
    "mov rcx, [rdi + {general} + 8]",
    "mov rdx, [rdi + {general} + 16]",
    "mov rbx, [rdi + {general} + 24]",
    "mov rbp, [rdi + {general} + 40]",
    "mov rsi, [rdi + {general} + 48]",
    "mov r8, [rdi + {general} + 64]",
    "mov r9, [rdi + {general} + 72]",
    "mov r10, [rdi + {general} + 80]",
    "mov r11, [rdi + {general} + 88]",
    "mov r12, [rdi + {general} + 96]",
    "mov r13, [rdi + {general} + 104]",
    "mov r14, [rdi + {general} + 112]",
    "mov r15, [rdi + {general} + 120]",
    "mov rdi, [rdi + {general} + 56]",
    "jmp [rip + guestlab_test_code]",
    "guestlab_test_back:",
    "mov [rip + guestlab_test_rdi], rdi",
    "mov rdi, [rip + guestlab_test_frame]",
    "fxsave64 [rdi]",
    "mov [rdi + {general}], rax",
    "mov [rdi + {general} + 8], rcx",
    "mov [rdi + {general} + 16], rdx",
    "mov [rdi + {general} + 24], rbx",
    "mov [rdi + {general} + 40], rbp",
    "mov [rdi + {general} + 48], rsi",
    "mov [rdi + {general} + 64], r8",
    "mov [rdi + {general} + 72], r9",
    "mov [rdi + {general} + 80], r10",
    "mov [rdi + {general} + 88], r11",
    "mov [rdi + {general} + 96], r12",
    "mov [rdi + {general} + 104], r13",
    "mov [rdi + {general} + 112], r14",
    "mov [rdi + {general} + 120], r15",
    "pushfq",
    "pop qword ptr [rdi + {flags}]",
    "mov rax, [rip + guestlab_test_rdi]",
    "mov [rdi + {general} + 56], rax",
    "push 2",
    "popfq",
    "fninit",
    "ldmxcsr [rip + guestlab_test_mxcsr]",
    "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
    "ret",
    general = const GENERAL,
    flags = const FLAGS,
);

/// Only one thread runs instructions at a time: the signal handler has to know them.
static LOCK: Mutex<()> = Mutex::new(());

/// Pages for code and data, and behind them one that is not there.
pub struct Native {
    pages: *mut u8,
    _guard: MutexGuard<'static, ()>,
}

impl Native {
    /// Maps the pages and takes the signals of exceptions.
    pub fn new() -> Self {
        // A test that has failed leaves nothing behind that others would mind.
        let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping overlaps nothing.
        let mapping = unsafe { libc::mmap(ptr::null_mut(), 2 * SIZE, protection, kind, -1, 0) };
        assert_ne!(mapping, libc::MAP_FAILED, "memory");
        // The interpreter has one page table for all three: one of the halves is within 2 MiB.
        let mapping = mapping.cast::<u8>();
        let is_within = mapping.addr() % (512 * PAGE) <= 512 * PAGE - SIZE;
        let pages = if is_within { mapping } else { mapping.wrapping_add(SIZE) };
        // SAFETY: the third page of the mapping is not used.
        let done = unsafe { libc::mprotect(pages.wrapping_add(2 * PAGE).cast(), PAGE, libc::PROT_NONE) };
        assert_eq!(done, 0, "a page without rights");
        for signal in [libc::SIGFPE, libc::SIGSEGV, libc::SIGILL, libc::SIGBUS] {
            // SAFETY: zeros are a valid `sigaction`.
            let mut action: libc::sigaction = unsafe { zeroed() };
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            // SAFETY: the handler changes only the context of the thread that runs an instruction.
            let done = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
            assert_eq!(done, 0, "a signal handler");
        }
        Self { pages, _guard: guard }
    }

    /// The address of the code.
    pub fn code(&self) -> u64 {
        self.pages as u64
    }

    /// The address of the data.
    pub fn data(&self) -> u64 {
        self.code() + PAGE as u64
    }

    /// Returns the page of data.
    pub fn bytes(&self) -> [u8; PAGE] {
        // SAFETY: the page is mapped, and no instruction runs.
        unsafe { self.pages.wrapping_add(PAGE).cast::<[u8; PAGE]>().read() }
    }

    /// Sets the page of data.
    pub fn set_bytes(&mut self, bytes: &[u8; PAGE]) {
        // SAFETY: the page is mapped, and no instruction runs.
        unsafe { self.pages.wrapping_add(PAGE).cast::<[u8; PAGE]>().write(*bytes) }
    }

    /// Carries out an instruction.
    ///
    /// # Safety
    ///
    /// The instruction neither jumps nor changes RSP, and writes to no memory except the page of data.
    pub unsafe fn run(&mut self, instruction: &[u8], frame: &mut Frame) {
        let mut code = instruction.to_vec();
        // `jmp [rip]`, to an address that is aligned.
        let distance = ADDRESS - code.len() as u8 - 6;
        code.extend_from_slice(&[0xFF, 0x25, distance, 0, 0, 0]);
        code.resize(ADDRESS.into(), 0x90);
        code.extend_from_slice(&(guestlab_test_back as *const () as u64).to_le_bytes());
        // SAFETY: the code is shorter than its page.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), self.pages, code.len()) };
        TRAP.store(NO_TRAP, SeqCst);
        CODE.store(self.code(), SeqCst);
        // SAFETY: the code is as the caller promises, and ends with a jump back.
        unsafe { guestlab_test_run(frame, self.pages) };
        CODE.store(0, SeqCst);
        frame.trap = TRAP.load(SeqCst);
    }
}

/// Notes an exception of the instruction, and goes on behind it.
extern "C" fn handle(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over the context of the thread.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let here = registers[libc::REG_RIP as usize] as u64;
    if here != CODE.load(SeqCst) {
        // It is not the instruction's: the test dies of it.
        // SAFETY: both calls are allowed in a signal handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    TRAP.store(registers[libc::REG_TRAPNO as usize], SeqCst);
    registers[libc::REG_RIP as usize] = guestlab_test_back as *const () as i64;
}
