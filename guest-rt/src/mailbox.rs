//! A mailbox for experiments of any kind: a message of the guest's own type, which the host relays
//! from one VM to the next after each turn. It is the way for VMs to talk to each other: they share no
//! memory. (The exchange's mailbox is [`ring`](crate::ring)'s, and
//! the host checks what a guest does to it; this one the host only copies.)
//!
//! ```ignore
//! let mut mailbox = Mailbox::<u32>::attach();
//! loop {
//!     let counter = mailbox.read();
//!     mailbox.write(counter + 1);
//!     mailbox.end_turn();
//! }
//! ```
//!
//! A message can be a number, an array, or a `struct` that derives what zerocopy needs to know of it:
//!
//! ```ignore
//! use guest_rt::zerocopy::{FromBytes, Immutable, IntoBytes};
//!
//! #[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
//! #[repr(C)]
//! #[zerocopy(crate = "guest_rt::zerocopy")]
//! struct Message {
//!     from: u32,
//!     numbers: [u32; 7],
//! }
//! ```
//!
//! One exit to attach, one a turn; reading and writing cost none.

use core::{
    marker::PhantomData,
    sync::atomic::{AtomicBool, Ordering},
};

use guest_abi::mailbox::MAX_MESSAGE_SIZE;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{hypercall, volatile::Volatile};

/// The size of a word in bytes.
const WORD: usize = size_of::<u32>();

/// The memory of any [`Mailbox`]. Only the one that was attached touches it, and the host while the
/// guest is stopped.
static MESSAGE: [Volatile<u32>; MAX_MESSAGE_SIZE as usize / WORD] =
    [const { Volatile::new(0) }; MAX_MESSAGE_SIZE as usize / WORD];

static ATTACHED: AtomicBool = AtomicBool::new(false);

/// Tells the host that this guest's mailbox is in `memory`; returns when this guest's first turn has
/// begun.
///
/// # Panics
///
/// If called twice: a guest has one mailbox.
///
/// # Safety
///
/// All of `memory` is [`Volatile`].
pub(crate) unsafe fn attach<M: ?Sized>(memory: &'static M) {
    assert!(!ATTACHED.swap(true, Ordering::Relaxed), "the mailbox is attached already");
    // SAFETY: it is memory for as long as the guest runs, and the guest reaches what is volatile by
    // volatile accesses only.
    unsafe { hypercall::mailbox_attach(hypercall::address_of(memory), size_of_val(memory)) };
}

/// This guest's mailbox, with a message of type `T`: the same type in all VMs of an experiment. Its
/// size is a multiple of 4 bytes, up to [`MAX_MESSAGE_SIZE`]; any other does not compile.
pub struct Mailbox<T: Message> {
    message: PhantomData<T>,
}

/// What can be a message: plain data, of which every byte means the same in every VM.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the message of a mailbox: it is not plain data",
    label = "not plain data",
    note = "a message is a number, an array of messages, or a `#[repr(C)]` struct of messages without padding that derives `Clone, Copy, FromBytes, Immutable, IntoBytes` (see `guest_rt::mailbox`)",
    note = "references, `bool`, `char` and enums are none: another VM may leave any bytes"
)]
pub trait Message: Copy + FromBytes + IntoBytes + Immutable {}

#[diagnostic::do_not_recommend]
impl<T: Copy + FromBytes + IntoBytes + Immutable> Message for T {}

impl<T: Message> Mailbox<T> {
    /// The number of words in a message.
    const WORDS: usize = {
        assert!(size_of::<T>() > 0, "a mailbox's message cannot be empty");
        assert!(
            size_of::<T>().is_multiple_of(WORD),
            "a mailbox's message has a size that is no multiple of 4 bytes"
        );
        assert!(
            size_of::<T>() <= MAX_MESSAGE_SIZE as usize,
            "a mailbox's message is larger than guest_abi::mailbox::MAX_MESSAGE_SIZE"
        );
        size_of::<T>() / WORD
    };

    /// Tells the host where the mailbox is; returns when this guest's first turn has begun.
    ///
    /// # Panics
    ///
    /// If this guest has attached a mailbox before: it has one.
    pub fn attach() -> Self {
        // SAFETY: all words of a message are volatile.
        unsafe { attach(Self::words()) };
        Self { message: PhantomData }
    }

    /// The message: what the VM before left, or what this guest has written since its turn began. All
    /// bytes are zero where no VM has written one yet.
    pub fn read(&self) -> T {
        let mut message = T::new_zeroed();
        let (words, _) = message.as_mut_bytes().as_chunks_mut();
        for (bytes, word) in words.iter_mut().zip(Self::words()) {
            *bytes = word.get().to_ne_bytes();
        }
        message
    }

    /// Replaces the message. The next VM finds it when this turn has ended.
    pub fn write(&mut self, message: T) {
        let (words, _) = message.as_bytes().as_chunks();
        for (&bytes, word) in words.iter().zip(Self::words()) {
            word.set(u32::from_ne_bytes(bytes));
        }
    }

    /// Ends the turn; returns when this guest's next turn has begun, with what the VM before it left.
    pub fn end_turn(&mut self) {
        hypercall::end_turn();
    }

    /// The words of the message.
    fn words() -> &'static [Volatile<u32>] {
        &MESSAGE[..Self::WORDS]
    }
}
