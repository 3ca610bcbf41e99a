//! Console text in complete characters: a guest may print the bytes of a character one by one.

use std::{collections::BTreeMap, io};

use crate::{
    event::{Console, Crash, Event, Exited, Screen},
    text::Utf8Stream,
};

/// The text streams of all VMs.
#[derive(Default)]
pub(crate) struct Characters {
    streams: BTreeMap<u32, Utf8Stream>,
}

impl Characters {
    /// Passes an event on, with console text in complete characters. The rest of a VM's text comes before its last
    /// event.
    ///
    /// # Errors
    ///
    /// As `next`.
    pub(crate) fn join(
        &mut self,
        event: &Event<'_>,
        mut next: impl FnMut(&Event<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (vm, name, text) = match event {
            Event::Console(Console { vm, name, text }) => {
                (*vm, &**name, self.streams.entry(*vm).or_default().push(text))
            }
            Event::Screen(Screen { vm, name, .. }) | Event::Exit(Exited { vm, name, .. }) => {
                (*vm, name.as_str(), self.rest(*vm))
            }
            Event::Crash(crash) => {
                let Crash { vm, name, .. } = &**crash;
                (*vm, name.as_str(), self.rest(*vm))
            }
            _ => return next(event),
        };
        if !text.is_empty() {
            next(&Event::Console(Console { vm, name: name.into(), text: text.as_bytes().into() }))?;
        }
        match event {
            Event::Console(_) => Ok(()),
            event => next(event),
        }
    }

    fn rest(&mut self, vm: u32) -> String {
        self.streams.entry(vm).or_default().finish().to_owned()
    }
}
