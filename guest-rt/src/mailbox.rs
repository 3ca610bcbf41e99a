//! A mailbox for experiments of any kind. It holds a message of the guest's own type, and
//! the host copies it from one VM to the next after each turn. VMs share no memory; this
//! is their way to exchange data. (The exchange uses the mailbox of [`ring`](crate::ring),
//! and the host checks a guest's changes to it. It does not check this mailbox.)
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
//! A message can be a number, an array, or a `struct` that derives these zerocopy traits:
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
//! Cost: one exit to attach, and one per turn; reading and writing are free.

use core::{
    marker::PhantomData,
    sync::atomic::{AtomicBool, Ordering},
};

use guest_abi::mailbox::MAX_MESSAGE_SIZE;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{hypercall, volatile::Volatile};

/// The size of a word in bytes.
const WORD: usize = size_of::<u32>();

/// The memory of every [`Mailbox`]. Only the attached one
/// accesses it, and the host while the guest is stopped.
static MESSAGE: [Volatile<u32>; MAX_MESSAGE_SIZE as usize / WORD] =
    [const { Volatile::new(0) }; MAX_MESSAGE_SIZE as usize / WORD];

static ATTACHED: AtomicBool = AtomicBool::new(false);

/// Registers `memory` with the host as this guest's
/// mailbox; returns when this guest's first turn has begun.
///
/// # Panics
///
/// If called twice, because a guest has one mailbox.
///
/// # Safety
///
/// All of `memory` is [`Volatile`].
pub(crate) unsafe fn attach<M: ?Sized>(memory: &'static M) {
    assert!(!ATTACHED.swap(true, Ordering::Relaxed), "the mailbox is attached already");
    // SAFETY: the memory is valid for as long as the guest runs, and
    // the guest accesses volatile memory by volatile accesses only.
    unsafe { hypercall::mailbox_attach(hypercall::address_of(memory), size_of_val(memory)) };
}

/// This guest's mailbox, with a message of type `T`: the same type in all VMs of an experiment. The
/// size of `T` must be a multiple of 4 bytes, up to [`MAX_MESSAGE_SIZE`]; others do not compile.
pub struct Mailbox<T: Message> {
    message: PhantomData<T>,
}

/// A type that can be a message: plain data, of which every byte has the same meaning in every VM.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the message of a mailbox: it is not plain data",
    label = "not plain data",
    note = "a message is a number, an array of messages, or a `#[repr(C)]` struct of messages without padding that derives `Clone, Copy, FromBytes, Immutable, IntoBytes` (see `guest_rt::mailbox`)",
    note = "references, `bool`, `char` and enums are not plain data: another VM may leave any bytes"
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
            "the size of a mailbox's message must be a multiple of 4 bytes"
        );
        assert!(
            size_of::<T>() <= MAX_MESSAGE_SIZE as usize,
            "a mailbox's message is larger than guest_abi::mailbox::MAX_MESSAGE_SIZE"
        );
        size_of::<T>() / WORD
    };

    /// Registers the mailbox with the host; returns when this guest's first turn has begun.
    ///
    /// # Panics
    ///
    /// If this guest has already attached a mailbox.
    pub fn attach() -> Self {
        // SAFETY: all words of a message are volatile.
        unsafe { attach(Self::words()) };
        Self { message: PhantomData }
    }

    /// Reads the message: the one from the previous VM, or the one that this guest
    /// has written in this turn. All bytes are zero if no VM has written one yet.
    pub fn read(&self) -> T {
        let mut message = T::new_zeroed();
        let (words, _) = message.as_mut_bytes().as_chunks_mut();
        for (bytes, word) in words.iter_mut().zip(Self::words()) {
            *bytes = word.get().to_ne_bytes();
        }
        message
    }

    /// Replaces the message. The next VM gets it when this turn has ended.
    pub fn write(&mut self, message: T) {
        let (words, _) = message.as_bytes().as_chunks();
        for (&bytes, word) in words.iter().zip(Self::words()) {
            word.set(u32::from_ne_bytes(bytes));
        }
    }

    /// Ends the turn; returns when this guest's next turn has begun, with the previous VM's message.
    pub fn end_turn(&mut self) {
        hypercall::end_turn();
    }

    /// The words of the message.
    fn words() -> &'static [Volatile<u32>] {
        &MESSAGE[..Self::WORDS]
    }
}
