//! The keyboard controller (Intel 8042), with a keyboard without key presses.

use std::collections::VecDeque;

/// The most bytes that wait to be read; more are lost.
const MOST: usize = 16;

/// Status: a byte waits to be read.
const OUTPUT_FULL: u8 = 1 << 0;
/// Status: the self-test went well.
const SYSTEM: u8 = 1 << 2;
/// Status: the last byte written was a command.
const COMMAND: u8 = 1 << 3;
/// Status: the keyboard is not locked.
const UNLOCKED: u8 = 1 << 4;

/// The output port: not in reset, and the A20 line on.
const OUTPUT_PORT: u8 = 0b11;
/// The keyboard's answer to a command that it has.
const ACKNOWLEDGE: u8 = 0xFA;

/// The controller.
#[derive(Clone, Debug)]
pub(super) struct Keyboard {
    waiting: VecDeque<u8>,
    configuration: u8,
    /// The command whose data byte is still to come.
    pending: Option<u8>,
    /// The keyboard waits for the argument of a command.
    has_argument: bool,
    last_was_command: bool,
}

impl Default for Keyboard {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            // Interrupts off, system flag, scan codes translated.
            configuration: 0x44,
            pending: None,
            has_argument: false,
            last_was_command: false,
        }
    }
}

impl Keyboard {
    fn answer(&mut self, bytes: &[u8]) {
        let room = MOST - self.waiting.len();
        self.waiting.extend(bytes.iter().take(room));
    }

    /// Takes a write. Returns true if it resets the CPU.
    pub(super) fn write(&mut self, port: u16, value: u8) -> bool {
        self.last_was_command = port == 0x64;
        match self.last_was_command {
            true => self.command(value),
            false => self.data(value),
        }
    }

    fn command(&mut self, command: u8) -> bool {
        self.pending = None;
        match command {
            0x20 => self.answer(&[self.configuration]),
            // Its own test went well, and so did that of the keyboard's line.
            0xAA => self.answer(&[0x55]),
            0xAB => self.answer(&[0]),
            // There is no mouse on the second line.
            0xA9 => self.answer(&[1]),
            0xC0 => self.answer(&[0x80]),
            0xD0 => self.answer(&[OUTPUT_PORT]),
            0x60 | 0xD1..=0xD4 => self.pending = Some(command),
            // The lowest line that is pulsed is the CPU's reset.
            0xF0..=0xFF => return command & 1 == 0,
            _ => {}
        }
        false
    }

    fn data(&mut self, value: u8) -> bool {
        match self.pending.take() {
            Some(0x60) => self.configuration = value,
            Some(0xD1) => return value & 1 == 0,
            Some(0xD2) => self.answer(&[value]),
            // To the mouse, or back from it: it is not there.
            Some(_) => {}
            None => self.keyboard_command(value),
        }
        false
    }

    fn keyboard_command(&mut self, value: u8) {
        if std::mem::take(&mut self.has_argument) {
            return self.answer(&[ACKNOWLEDGE]);
        }
        match value {
            // Lights, scan code set, repeat rate.
            0xED | 0xF0 | 0xF3 => {
                self.has_argument = true;
                self.answer(&[ACKNOWLEDGE]);
            }
            0xEE => self.answer(&[0xEE]),
            0xF2 => self.answer(&[ACKNOWLEDGE, 0xAB, 0x83]),
            // A reset of the keyboard, and its test, which goes well.
            0xFF => self.answer(&[ACKNOWLEDGE, 0xAA]),
            0xF4..=0xF6 => self.answer(&[ACKNOWLEDGE]),
            // "Send that again."
            _ => self.answer(&[0xFE]),
        }
    }

    pub(super) fn read(&mut self, port: u16) -> u8 {
        match port {
            0x60 => self.waiting.pop_front().unwrap_or(0),
            _ => {
                let bit = |is_set, bit| if is_set { bit } else { 0 };
                SYSTEM
                    | UNLOCKED
                    | bit(!self.waiting.is_empty(), OUTPUT_FULL)
                    | bit(self.last_was_command, COMMAND)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a20_is_switched_on_in_the_usual_way() {
        let mut keyboard = Keyboard::default();
        let input_full = 1 << 1;
        for (port, value) in [(0x64, 0xAD), (0x64, 0xD0)] {
            assert_eq!(keyboard.read(0x64) & input_full, 0);
            assert!(!keyboard.write(port, value));
        }
        assert_eq!(keyboard.read(0x64) & OUTPUT_FULL, OUTPUT_FULL);
        let output = keyboard.read(0x60);
        assert_eq!(keyboard.read(0x64) & OUTPUT_FULL, 0);
        assert!(
            !keyboard.write(0x64, 0xD1) && !keyboard.write(0x60, output | 2) && !keyboard.write(0x64, 0xAE)
        );
        assert_eq!(keyboard.read(0x64) & OUTPUT_FULL, 0, "no key is pressed");
    }

    #[test]
    fn a_reset_is_asked_for_in_two_ways() {
        let mut keyboard = Keyboard::default();
        assert!(keyboard.write(0x64, 0xFE));
        assert!(!keyboard.write(0x64, 0xFF));
        assert!(!keyboard.write(0x64, 0xD1));
        assert!(keyboard.write(0x60, 0));
    }

    #[test]
    fn unread_answers_do_not_accumulate() {
        let mut keyboard = Keyboard::default();
        for _ in 0..1000 {
            keyboard.write(0x60, 0xFF);
        }
        assert_eq!(keyboard.waiting.len(), MOST);
        assert_eq!([keyboard.read(0x60), keyboard.read(0x60)], [ACKNOWLEDGE, 0xAA]);
    }
}
