//! Registers and bits of the PC16550D (National Semiconductor, June 1995), table 2.

/// Offset of RBR (read), THR (write), and DLL while DLAB is set.
pub const RBR_THR_DLL: u16 = 0;
/// Offset of IER, and DLM while DLAB is set.
pub const IER_DLM: u16 = 1;
/// Offset of IIR (read) and FCR (write).
pub const IIR_FCR: u16 = 2;
/// Offset of LCR.
pub const LCR: u16 = 3;
/// Offset of MCR.
pub const MCR: u16 = 4;
/// Offset of LSR.
pub const LSR: u16 = 5;
/// Offset of MSR.
pub const MSR: u16 = 6;
/// Offset of the scratch register.
pub const SCR: u16 = 7;

/// IER: received data available, and the FIFO's time-out.
pub const IER_ERBFI: u8 = 1;
/// IER: transmitter holding register empty.
pub const IER_ETBEI: u8 = 1 << 1;
/// IER: receiver line status.
pub const IER_ELSI: u8 = 1 << 2;
/// IER: modem status.
pub const IER_EDSSI: u8 = 1 << 3;
/// IER: bits that exist.
pub const IER_MASK: u8 = 0x0F;

/// IIR: no interrupt pending.
pub const IIR_NONE: u8 = 0x01;
/// IIR: modem status.
pub const IIR_MODEM: u8 = 0x00;
/// IIR: transmitter holding register empty.
pub const IIR_THRE: u8 = 0x02;
/// IIR: received data available.
pub const IIR_DATA: u8 = 0x04;
/// IIR: receiver line status.
pub const IIR_LINE: u8 = 0x06;
/// IIR: character time-out.
pub const IIR_TIMEOUT: u8 = 0x0C;
/// IIR: both bits set while the FIFOs are enabled.
pub const IIR_FIFOS: u8 = 0xC0;

/// FCR: FIFOs enabled; the other bits count only together with it.
pub const FCR_ENABLE: u8 = 1;
/// FCR: clears the receiver FIFO.
pub const FCR_CLEAR_RX: u8 = 1 << 1;
/// FCR: bits that are kept: enable, DMA mode, trigger level.
pub const FCR_KEPT: u8 = 0xC9;
/// FCR: where the trigger level stands.
pub const FCR_TRIGGER_SHIFT: u8 = 6;
/// Trigger levels of the receiver FIFO in bytes, by FCR bits 7-6.
pub const TRIGGER_BYTES: [usize; 4] = [1, 4, 8, 14];

/// LCR: word length minus 5.
pub const LCR_WORD_LENGTH: u8 = 0x03;
/// LCR: more than one stop bit.
pub const LCR_STOP: u8 = 1 << 2;
/// LCR: parity bit.
pub const LCR_PARITY: u8 = 1 << 3;
/// LCR: break.
pub const LCR_BREAK: u8 = 1 << 6;
/// LCR: divisor latch access.
pub const LCR_DLAB: u8 = 1 << 7;

/// MCR: data terminal ready.
pub const MCR_DTR: u8 = 1;
/// MCR: request to send.
pub const MCR_RTS: u8 = 1 << 1;
/// MCR: auxiliary output 1.
pub const MCR_OUT1: u8 = 1 << 2;
/// MCR: auxiliary output 2; on a PC it lets the interrupt through.
pub const MCR_OUT2: u8 = 1 << 3;
/// MCR: loopback.
pub const MCR_LOOP: u8 = 1 << 4;
/// MCR: bits that exist.
pub const MCR_MASK: u8 = 0x1F;

/// LSR: data ready.
pub const LSR_DR: u8 = 1;
/// LSR: overrun.
pub const LSR_OE: u8 = 1 << 1;
/// LSR: break.
pub const LSR_BI: u8 = 1 << 4;
/// LSR: transmitter holding register empty.
pub const LSR_THRE: u8 = 1 << 5;
/// LSR: transmitter empty.
pub const LSR_TEMT: u8 = 1 << 6;
/// LSR: at least one error in the receiver FIFO.
pub const LSR_FIFO_ERROR: u8 = 1 << 7;

/// MSR: clear to send has changed; bits 1 and 3 likewise for DSR and DCD.
pub const MSR_DCTS: u8 = 1;
/// MSR: trailing edge of the ring indicator.
pub const MSR_TERI: u8 = 1 << 2;
/// MSR: clear to send.
pub const MSR_CTS: u8 = 1 << 4;
/// MSR: data set ready.
pub const MSR_DSR: u8 = 1 << 5;
/// MSR: ring indicator.
pub const MSR_RI: u8 = 1 << 6;
/// MSR: data carrier detect.
pub const MSR_DCD: u8 = 1 << 7;
/// MSR: the inputs' levels.
pub const MSR_LEVELS: u8 = 0xF0;

/// Bytes in each FIFO.
pub const FIFO_BYTES: usize = 16;
/// Rate of the PC's crystal divided by 16: characters' bits a second with divisor 1.
pub const BASE_BAUD: u64 = 115_200;
/// Characters without traffic after which the FIFO's time-out comes (section 8.4.1).
pub const TIMEOUT_CHARACTERS: u64 = 4;
