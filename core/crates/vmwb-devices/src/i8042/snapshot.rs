//! Saved state of the keyboard controller. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Nanos, Schema, SnapshotError};

use super::keyboard::{HELD_ALT, HELD_CTRL, HELD_SHIFT, Keyboard, MAX_REPLIES, key_bit};
use super::mouse::{MAX_MOVEMENT, MAX_QUEUE, MAX_WHEEL, Mouse};
use super::regs::{keyboard as kbd, mouse as ms};
use super::{MEMORY_BYTES, Output, State};

/// Version 1 of the controller with its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct I8042V1 {
    /// Controller's memory, 32 bytes; the first is the command byte.
    pub memory: Vec<u8>,
    /// Byte in the output buffer.
    pub output: Option<u8>,
    /// That byte is the mouse's.
    pub output_aux: bool,
    /// Last byte that was read.
    pub last: u8,
    /// Answer that waits for the buffer. From version 4 on answers do not wait, and this is empty.
    pub answer: Option<u8>,
    /// That answer goes out as the mouse's.
    pub answer_aux: bool,
    /// Command whose data byte is expected.
    pub expects: Option<u8>,
    /// The last byte written was a command.
    pub command_last: bool,
    /// A break prefix was swallowed.
    pub breaking: bool,
    /// Address line 20 is open. From version 2 on that is part of the memory's state, and this is true.
    pub a20: bool,
    /// Level of IRQ 1.
    pub keyboard_line: bool,
    /// Level of IRQ 12.
    pub mouse_line: bool,
    /// The keyboard.
    pub keyboard: KeyboardV1,
    /// The mouse.
    pub mouse: MouseV1,
}

/// Version 1 of the keyboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyboardV1 {
    /// Scan codes that wait, at most 17.
    pub scan: Vec<u8>,
    /// Answers that wait, at most 4.
    pub replies: Vec<u8>,
    /// Last byte sent.
    pub last_sent: u8,
    /// Command whose parameter is expected.
    pub expects: Option<u8>,
    /// Scan code set, 1 to 3.
    pub set: u8,
    /// Keys are sent.
    pub scanning: bool,
    /// Lights, 0 to 7.
    pub leds: u8,
    /// Typematic rate and delay.
    pub typematic: u8,
    /// Modifier keys that are down.
    pub held: u8,
    /// Print Screen is down as SysRq.
    pub sysrq_down: bool,
}

/// Version 1 of the mouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MouseV1 {
    /// Bytes that wait, at most 16.
    pub queue: Vec<u8>,
    /// Last byte sent.
    pub last_sent: u8,
    /// Command whose parameter is expected.
    pub expects: Option<u8>,
    /// Movement to the right not yet reported, -4096 to 4096.
    pub dx: i32,
    /// Movement upwards not yet reported, -4096 to 4096.
    pub dy: i32,
    /// Buttons that are down.
    pub buttons: u8,
    /// Buttons as last reported.
    pub reported_buttons: u8,
    /// Resolution, 0 to 3.
    pub resolution: u8,
    /// Sample rate.
    pub rate: u8,
    /// Scaling 2:1.
    pub scale_2: bool,
    /// Remote mode.
    pub remote: bool,
    /// Wrap mode.
    pub wrap: bool,
    /// Reporting is on.
    pub enabled: bool,
}

/// Version 2: the keyboard repeats held keys, the mouse has a wheel and keeps its sample rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct I8042V2 {
    /// What version 1 has.
    pub base: I8042V1,
    /// More of the keyboard.
    pub keyboard: KeyboardV2,
    /// More of the mouse.
    pub mouse: MouseV2,
}

/// What version 2 adds to the keyboard.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyboardV2 {
    /// Keys that are down: bit n is set 1 code n; codes 0 to 127, then the same with the E0h prefix.
    pub down: [u64; 4],
    /// The key that repeats, and when next, in nanoseconds of virtual time.
    pub repeat: Option<(u16, u64)>,
}

/// What version 2 adds to the mouse.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MouseV2 {
    /// Identity: 0, 3 or 4.
    pub identity: u8,
    /// The last three sample rates.
    pub knock: [u8; 3],
    /// Turns of the wheel not yet reported, -128 to 128.
    pub wheel: i32,
    /// Before this virtual time no movement is reported again, in nanoseconds.
    pub ready_ns: u64,
}

impl From<I8042V1> for I8042V2 {
    fn from(base: I8042V1) -> Self {
        Self {
            base,
            keyboard: KeyboardV2::default(),
            mouse: MouseV2::default(),
        }
    }
}

/// Version 3: a scan code takes its time on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct I8042V3 {
    /// What version 2 has.
    pub base: I8042V2,
    /// Before this virtual time no scan code arrives, in nanoseconds.
    pub wire_free_ns: u64,
}

impl From<I8042V2> for I8042V3 {
    fn from(base: I8042V2) -> Self {
        Self {
            base,
            wire_free_ns: 0,
        }
    }
}

/// Version 4: an answer of the controller takes the buffer from the byte that was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct I8042V4 {
    /// What version 3 has.
    pub base: I8042V3,
    /// Byte that comes into the output buffer when it is empty again.
    pub displaced: Option<u8>,
    /// That byte is the mouse's.
    pub displaced_aux: bool,
}

impl From<I8042V3> for I8042V4 {
    fn from(base: I8042V3) -> Self {
        // An answer that waited for the buffer goes out behind the byte in it, as it would have then.
        let (displaced, displaced_aux) = (base.base.base.answer, base.base.base.answer_aux);
        Self {
            base,
            displaced,
            displaced_aux,
        }
    }
}

impl Schema for I8042V4 {
    const KIND: &'static str = "i8042";
    const VERSION: u32 = 4;
}

impl From<&State> for I8042V4 {
    fn from(s: &State) -> Self {
        Self {
            base: I8042V3::from(s),
            displaced: s.displaced.map(|o| o.byte),
            displaced_aux: s.displaced.is_some_and(|o| o.aux),
        }
    }
}

impl TryFrom<I8042V4> for State {
    type Error = SnapshotError;

    fn try_from(v: I8042V4) -> Result<Self, SnapshotError> {
        let aux = v.displaced_aux;
        Ok(Self {
            displaced: v.displaced.map(|byte| Output { byte, aux }),
            ..Self::try_from(v.base)?
        })
    }
}

impl Schema for I8042V3 {
    const KIND: &'static str = "i8042";
    const VERSION: u32 = 3;
}

impl From<&State> for I8042V3 {
    fn from(s: &State) -> Self {
        Self {
            base: I8042V2::from(s),
            wire_free_ns: s.wire_free.0,
        }
    }
}

impl TryFrom<I8042V3> for State {
    type Error = SnapshotError;

    fn try_from(v: I8042V3) -> Result<Self, SnapshotError> {
        Ok(Self {
            wire_free: Nanos(v.wire_free_ns),
            ..Self::try_from(v.base)?
        })
    }
}

impl Schema for I8042V2 {
    const KIND: &'static str = "i8042";
    const VERSION: u32 = 2;
}

impl From<&State> for I8042V2 {
    fn from(s: &State) -> Self {
        let halves = |keys: u128| {
            let low = u64::try_from(keys & u128::from(u64::MAX)).unwrap_or(0);
            [low, u64::try_from(keys >> 64).unwrap_or(0)]
        };
        let [[a, b], [c, d]] = s.keyboard.down.map(halves);
        Self {
            base: I8042V1::from(s),
            keyboard: KeyboardV2 {
                down: [a, b, c, d],
                repeat: s.keyboard.repeat.map(|(code, at)| (code, at.0)),
            },
            mouse: MouseV2 {
                identity: s.mouse.identity,
                knock: s.mouse.knock,
                wheel: s.mouse.wheel,
                ready_ns: s.mouse.ready.0,
            },
        }
    }
}

impl TryFrom<I8042V2> for State {
    type Error = SnapshotError;

    fn try_from(v: I8042V2) -> Result<Self, SnapshotError> {
        let mut state = Self::try_from(v.base)?;
        let [a, b, c, d] = v.keyboard.down.map(u128::from);
        state.keyboard.down = [a | b << 64, c | d << 64];
        let repeats = v.keyboard.repeat.map(|(code, at)| (code, Nanos(at)));
        check(
            repeats.is_none_or(|(code, _)| key_bit(code).is_some()),
            "a key that repeats does not exist",
        )?;
        state.keyboard.repeat = repeats;
        check(
            matches!(v.mouse.identity, ms::IDENTITY | ms::WHEEL | ms::EXPLORER),
            "a mouse of this kind does not exist",
        )?;
        check(
            (-MAX_WHEEL..=MAX_WHEEL).contains(&v.mouse.wheel),
            "a movement is out of range",
        )?;
        state.mouse.identity = v.mouse.identity;
        state.mouse.knock = v.mouse.knock;
        state.mouse.wheel = v.mouse.wheel;
        state.mouse.ready = Nanos(v.mouse.ready_ns);
        Ok(state)
    }
}

impl Schema for I8042V1 {
    const KIND: &'static str = "i8042";
    const VERSION: u32 = 1;
}

fn check(holds: bool, reason: &str) -> Result<(), SnapshotError> {
    if holds {
        Ok(())
    } else {
        Err(SnapshotError::damaged(I8042V1::KIND, reason))
    }
}

impl From<&State> for I8042V1 {
    fn from(s: &State) -> Self {
        let [keyboard_line, mouse_line] = s.lines;
        Self {
            memory: s.memory.to_vec(),
            output: s.output.map(|o| o.byte),
            output_aux: s.output.is_some_and(|o| o.aux),
            last: s.last,
            answer: None,
            answer_aux: false,
            expects: s.expects,
            command_last: s.command_last,
            breaking: s.breaking,
            a20: true,
            keyboard_line,
            mouse_line,
            keyboard: KeyboardV1::from(&s.keyboard),
            mouse: MouseV1::from(&s.mouse),
        }
    }
}

impl TryFrom<I8042V1> for State {
    type Error = SnapshotError;

    fn try_from(v: I8042V1) -> Result<Self, SnapshotError> {
        let memory = <[u8; MEMORY_BYTES]>::try_from(v.memory.as_slice());
        let memory =
            memory.map_err(|_| SnapshotError::damaged(I8042V1::KIND, "memory is not 32 bytes"))?;
        let output = |byte: Option<u8>, aux: bool| byte.map(|byte| Output { byte, aux });
        Ok(Self {
            memory,
            output: output(v.output, v.output_aux),
            last: v.last,
            displaced: None,
            expects: v.expects,
            command_last: v.command_last,
            breaking: v.breaking,
            wire_free: Nanos(0),
            lines: [v.keyboard_line, v.mouse_line],
            keyboard: v.keyboard.try_into()?,
            mouse: v.mouse.try_into()?,
        })
    }
}

impl From<&Keyboard> for KeyboardV1 {
    fn from(k: &Keyboard) -> Self {
        Self {
            scan: k.scan.iter().copied().collect(),
            replies: k.replies.iter().copied().collect(),
            last_sent: k.last_sent,
            expects: k.expects,
            set: k.set,
            scanning: k.scanning,
            leds: k.leds,
            typematic: k.typematic,
            held: k.held,
            sysrq_down: k.sysrq_down,
        }
    }
}

impl TryFrom<KeyboardV1> for Keyboard {
    type Error = SnapshotError;

    fn try_from(v: KeyboardV1) -> Result<Self, SnapshotError> {
        let modifiers = HELD_CTRL | HELD_SHIFT | HELD_ALT;
        check(
            v.scan.len() <= kbd::BUFFER_BYTES + 1,
            "more scan codes wait than the buffer holds",
        )?;
        check(
            v.replies.len() <= MAX_REPLIES,
            "more answers wait than the keyboard gives",
        )?;
        check((1..=3).contains(&v.set), "the scan code set does not exist")?;
        check(v.leds & !kbd::LEDS == 0, "a light does not exist")?;
        check(v.held & !modifiers == 0, "a modifier key does not exist")?;
        Ok(Self {
            scan: v.scan.into(),
            replies: v.replies.into(),
            last_sent: v.last_sent,
            expects: v.expects,
            set: v.set,
            scanning: v.scanning,
            leds: v.leds,
            typematic: v.typematic,
            held: v.held,
            sysrq_down: v.sysrq_down,
            ..Self::power_on()
        })
    }
}

impl From<&Mouse> for MouseV1 {
    fn from(m: &Mouse) -> Self {
        Self {
            queue: m.queue.iter().copied().collect(),
            last_sent: m.last_sent,
            expects: m.expects,
            dx: m.dx,
            dy: m.dy,
            buttons: m.buttons,
            reported_buttons: m.reported_buttons,
            resolution: m.resolution,
            rate: m.rate,
            scale_2: m.scale_2,
            remote: m.remote,
            wrap: m.wrap,
            enabled: m.enabled,
        }
    }
}

impl TryFrom<MouseV1> for Mouse {
    type Error = SnapshotError;

    fn try_from(v: MouseV1) -> Result<Self, SnapshotError> {
        let within = -MAX_MOVEMENT..=MAX_MOVEMENT;
        check(
            v.queue.len() <= MAX_QUEUE,
            "more bytes wait than the mouse holds",
        )?;
        check(
            within.contains(&v.dx) && within.contains(&v.dy),
            "a movement is out of range",
        )?;
        check(
            (v.buttons | v.reported_buttons) & !ms::ALL_BUTTONS == 0,
            "a button does not exist",
        )?;
        check(v.resolution <= 3, "the resolution does not exist")?;
        Ok(Self {
            queue: v.queue.into(),
            last_sent: v.last_sent,
            expects: v.expects,
            dx: v.dx,
            dy: v.dy,
            buttons: v.buttons,
            reported_buttons: v.reported_buttons,
            resolution: v.resolution,
            rate: v.rate,
            scale_2: v.scale_2,
            remote: v.remote,
            wrap: v.wrap,
            enabled: v.enabled,
            ..Self::power_on()
        })
    }
}
