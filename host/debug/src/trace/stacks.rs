//! Instructions counted by call stack.
//!
//! Not every guest has frame pointers, so that calls and returns are followed. A frame is known by the address of its return address
//! on the stack: a return that takes another one, as a switch of tasks does, ends no wrong frame.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use guestlab_cpu::instruction::FlowControl;
use guestlab_runlog::text::escape_line;

use crate::{
    crash_report::{ImageInfo, Piece},
    step::Before,
};

/// The most frames of a stack that are told apart. Deeper ones count for the last of these.
const MOST_DEPTH: usize = 200;

/// The most frames that are followed. A guest can recurse until its memory is full.
const MOST_FRAMES: usize = 1 << 16;

/// The most stacks, and the most addresses in stacks. Further ones count for a stack or an address that is there.
const MOST_STACKS: usize = 1 << 16;
const MOST_ADDRESSES: usize = 1 << 18;

/// The most bytes of folded stacks, since each has the names of all its frames.
const MOST_TEXT: usize = 256 << 20;

/// The most bytes between the return address of an interrupt and the stack pointer of its handler: an error code.
const LONGEST_ERROR_CODE: u64 = 8;

/// The folded stacks of a run, to which each of its VMs adds those of its guest.
#[derive(Clone, Debug, Default)]
pub struct FoldedStacks(Arc<Mutex<Vec<String>>>);

impl FoldedStacks {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        // A line is complete at any point.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lines of the VMs that are gone: functions from the outermost to the innermost with `;` between them, and the
    /// number of instructions.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines())
    }
}

/// Two runs have the same stacks only if they are one.
impl PartialEq for FoldedStacks {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for FoldedStacks {}

/// The instructions of one VM's guest, by stack. Dropping it folds them.
pub(super) struct Stacks {
    output: FoldedStacks,
    image: ImageInfo,
    /// The root of all stacks: the VM, or the guest.
    root: String,
    calls: Calls,
}

impl Stacks {
    pub(super) fn new(output: FoldedStacks, image: ImageInfo, root: String) -> Self {
        Self { output, image, root, calls: Calls::default() }
    }

    /// Counts an instruction, which was executed after those before.
    pub(super) fn executed(&mut self, before: &Before) {
        let kind = match before.instruction.flow_control() {
            FlowControl::Next => {
                Kind::Next { end: before.address().wrapping_add(before.bytes().len() as u64) }
            }
            FlowControl::Call | FlowControl::IndirectCall => Kind::Call,
            FlowControl::Interrupt | FlowControl::Exception => Kind::Trap,
            FlowControl::Return => Kind::Return,
            _ => Kind::Jump,
        };
        self.calls.executed(before.address(), before.registers.stack(), kind);
    }

    /// The guest is at the first instruction of a handler.
    pub(super) fn delivered(&mut self) {
        self.calls.is_delivered = true;
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        let lines = self.calls.fold(&self.root, &self.image);
        self.output.lines().extend(lines);
    }
}

/// The parts of an instruction that matter for stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It goes on at this address, unless it is repeated or raises an exception.
    Next {
        end: u64,
    },
    Jump,
    Call,
    /// It raises an exception or an interrupt.
    Trap,
    Return,
}

/// A call that did not return yet.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The stack pointer at the function's first instruction: the return address is there, or an error code just below it.
    stack: u64,
    /// It is that of an interrupt or an exception.
    is_handler: bool,
    /// The stack around it.
    outer: usize,
}

/// A stack: the addresses of its calls, as a tree. The first one is empty.
#[derive(Clone, Copy, Debug)]
struct Stack {
    outer: usize,
    call: u64,
    depth: usize,
}

#[derive(Debug)]
struct Calls {
    frames: Vec<Frame>,
    stacks: Vec<Stack>,
    /// The stacks by outer stack and call.
    known: HashMap<(usize, u64), usize>,
    /// The stack now.
    now: usize,
    /// The last instruction: its address, the stack pointer before it, and its kind.
    last: Option<(u64, u64, Kind)>,
    is_delivered: bool,
    counts: HashMap<(usize, u64), u64>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            stacks: vec![Stack { outer: 0, call: 0, depth: 0 }],
            known: HashMap::new(),
            now: 0,
            last: None,
            is_delivered: false,
            counts: HashMap::new(),
        }
    }
}

impl Calls {
    fn executed(&mut self, address: u64, stack: u64, kind: Kind) {
        let is_delivered = std::mem::take(&mut self.is_delivered);
        if let Some((last, before, last_kind)) = self.last.replace((address, stack, kind)) {
            match last_kind {
                Kind::Return => self.ret(before),
                // Before a handler there is a function that has not executed anything, and that is not seen.
                _ if is_delivered => {}
                // An instruction that calls pushes.
                Kind::Call if stack < before => self.call(last, stack, false),
                Kind::Trap => self.call(last, stack, true),
                Kind::Next { end } if address != end && address != last => self.call(last, stack, true),
                _ => {}
            }
            if is_delivered {
                self.call(last, stack, true);
            }
        }
        let key = (self.now, address);
        if self.counts.len() >= MOST_ADDRESSES && !self.counts.contains_key(&key) {
            // The address of the call stands for those in the function.
            let key = (self.now, self.stacks[self.now].call);
            *self.counts.entry(key).or_default() += 1;
        } else {
            *self.counts.entry(key).or_default() += 1;
        }
    }

    fn call(&mut self, call: u64, stack: u64, is_handler: bool) {
        if self.frames.len() < MOST_FRAMES {
            self.frames.push(Frame { stack, is_handler, outer: self.now });
            self.now = self.inner(self.now, call);
        }
    }

    /// Returns the stack of a call in a stack.
    fn inner(&mut self, outer: usize, call: u64) -> usize {
        if let Some(stack) = self.known.get(&(outer, call)) {
            return *stack;
        }
        let depth = self.stacks[outer].depth + 1;
        if depth > MOST_DEPTH || self.stacks.len() >= MOST_STACKS {
            return outer;
        }
        self.stacks.push(Stack { outer, call, depth });
        let stack = self.stacks.len() - 1;
        self.known.insert((outer, call), stack);
        stack
    }

    /// Ends the frame whose return address was at this place of the stack, and those in it.
    fn ret(&mut self, stack: u64) {
        let is_its = |frame: &Frame| {
            let above = stack.wrapping_sub(frame.stack);
            above == 0 || frame.is_handler && above <= LONGEST_ERROR_CODE
        };
        if let Some(index) = self.frames.iter().rposition(is_its) {
            self.now = self.frames[index].outer;
            self.frames.truncate(index);
        }
    }

    /// Returns a line for each stack with its functions, those that were inlined among them.
    fn fold(&self, root: &str, image: &ImageInfo) -> Vec<String> {
        let calls = self.stacks.iter().skip(1).map(|stack| stack.call);
        let mut addresses: Vec<u64> = calls.chain(self.counts.keys().map(|(_, address)| *address)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let names = image.functions(addresses.iter().copied());
        let pieces = image.pieces();
        let names: BTreeMap<u64, Vec<Rc<str>>> =
            addresses.into_iter().zip(names).map(|(at, names)| (at, named(at, names, &pieces))).collect();
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        let mut size = 0;
        for ((stack, address), count) in &self.counts {
            let mut line = if size < MOST_TEXT { self.line(*stack, *address, &names) } else { String::new() };
            line.insert_str(0, &word(root));
            size += line.len();
            *lines.entry(line).or_default() += count;
        }
        lines.into_iter().map(|(stack, count)| format!("{stack} {count}")).collect()
    }

    /// Returns the functions of a stack and of an address in the innermost, each behind a `;`.
    fn line(&self, stack: usize, address: u64, names: &BTreeMap<u64, Vec<Rc<str>>>) -> String {
        let mut places = vec![address];
        let mut at = stack;
        while at != 0 {
            places.push(self.stacks[at].call);
            at = self.stacks[at].outer;
        }
        let functions = places.iter().rev().filter_map(|place| names.get(place)).flatten();
        functions.fold(String::new(), |line, name| line + ";" + name)
    }
}

/// Returns the names of the functions at an address, the outermost first. Code without debug information has the name of its
/// symbol.
fn named(address: u64, names: Vec<Rc<str>>, pieces: &[Piece]) -> Vec<Rc<str>> {
    if !names.is_empty() {
        return names.iter().rev().map(|name| Rc::from(word(name))).collect();
    }
    let behind = pieces.partition_point(|piece| piece.start <= address);
    let piece = behind.checked_sub(1).map(|index| &pieces[index]).filter(|piece| address < piece.end);
    vec![piece.map_or("(no symbol)".into(), |piece| Rc::from(word(&piece.name)))]
}

/// A name in a folded stack, in which `;` parts the names.
fn word(name: &str) -> String {
    escape_line(name).replace(';', ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executes instructions, and returns the stack of each as the addresses of its calls.
    fn stacks(instructions: &[(u64, u64, Kind)]) -> Vec<Vec<u64>> {
        let mut calls = Calls::default();
        let mut stack = |&(address, stack, kind): &(u64, u64, Kind)| {
            calls.executed(address, stack, kind);
            let mut places = Vec::new();
            let mut at = calls.now;
            while at != 0 {
                places.insert(0, calls.stacks[at].call);
                at = calls.stacks[at].outer;
            }
            places
        };
        instructions.iter().map(&mut stack).collect()
    }

    const NEXT: fn(u64) -> Kind = |end| Kind::Next { end };

    #[test]
    fn calls_and_returns_are_followed() {
        let run = [
            (0x10, 0x100, NEXT(0x11)),
            (0x11, 0x100, Kind::Call),
            (0x20, 0xFC, Kind::Call),
            (0x30, 0xF8, Kind::Jump),
            (0x50, 0xF8, Kind::Return),
            (0x21, 0xFC, Kind::Return),
            (0x12, 0x100, NEXT(0x13)),
        ];
        let expected: [&[u64]; 7] = [&[], &[], &[0x11], &[0x11, 0x20], &[0x11, 0x20], &[0x11], &[]];
        assert_eq!(stacks(&run), expected);
    }

    #[test]
    fn an_exception_is_a_call_up_to_its_return() {
        // With an error code, which the handler takes from the stack.
        let run = [
            (0x10, 0x100, NEXT(0x12)),
            (0x80, 0xE8, NEXT(0x82)),
            (0x82, 0xEC, Kind::Return),
            (0x10, 0x100, NEXT(0x12)),
            (0x12, 0x100, NEXT(0x13)),
        ];
        let expected: [&[u64]; 5] = [&[], &[0x10], &[0x10], &[], &[]];
        assert_eq!(stacks(&run), expected);
    }

    #[test]
    fn a_return_that_is_none_ends_no_frame() {
        let run = [
            (0x11, 0x100, Kind::Call),
            (0x20, 0xFC, NEXT(0x21)),
            // push; ret: a jump.
            (0x21, 0xF8, Kind::Return),
            (0x40, 0xFC, Kind::Return),
            (0x12, 0x100, Kind::Return),
            (0x99, 0x104, NEXT(0x9A)),
        ];
        let expected: [&[u64]; 6] = [&[], &[0x11], &[0x11], &[0x11], &[], &[]];
        assert_eq!(stacks(&run), expected);
    }

    #[test]
    fn endless_recursion_takes_bounded_memory() {
        let mut calls = Calls::default();
        let depth = MOST_FRAMES as u64 + 100;
        for level in 0..depth {
            calls.executed(0x10, (depth - level) * 4, Kind::Call);
        }
        assert!(calls.frames.len() <= MOST_FRAMES && calls.stacks.len() <= MOST_DEPTH + 1);
        assert_eq!(calls.counts.values().sum::<u64>(), depth);
        for address in 0..MOST_ADDRESSES as u64 + 100 {
            calls.executed(0x1000 + address, 4, Kind::Jump);
        }
        assert!(calls.counts.len() <= MOST_ADDRESSES + MOST_STACKS);
        assert_eq!(calls.counts.values().sum::<u64>(), depth + MOST_ADDRESSES as u64 + 100);
    }

    #[test]
    fn a_name_cannot_part_a_stack() {
        assert_eq!(word("f;g\nh"), "f,g\\nh");
        let piece = Piece { start: 4, end: 8, name: "boot".into() };
        let at = |address, names: &[&str]| {
            let names = names.iter().map(|name| Rc::from(*name)).collect();
            named(address, names, std::slice::from_ref(&piece)).join("/")
        };
        assert_eq!(at(4, &["inner", "outer"]), "outer/inner");
        assert_eq!([at(4, &[]), at(8, &[]), at(0, &[])], ["boot", "(no symbol)", "(no symbol)"]);
    }
}
