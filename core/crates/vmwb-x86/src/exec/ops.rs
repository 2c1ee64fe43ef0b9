//! What semantics may do. The interpreter's implementation executes; a translator's emits code for the same calls.
//!
//! Values are unsigned and zero-extended from the operand size. A semantics reads and computes first and changes
//! registers last: any `?` may leave it, and nothing may have changed then.

/// Conditions of Jcc, SETcc and CMOVcc, in the order of their encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Cond {
    O,
    No,
    B,
    Nb,
    Z,
    Nz,
    Be,
    Nbe,
    S,
    Ns,
    P,
    Np,
    L,
    Nl,
    Le,
    Nle,
}

/// Shifts and rotates with a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Shift {
    Rol,
    Ror,
    Shl,
    Shr,
    Sar,
}

/// Operations of one engine.
pub trait Ops {
    /// A value of up to 64 bits.
    type V: Copy;
    /// A truth value.
    type B: Copy;
    /// Why an instruction ends early.
    type Stop;
    /// Where execution goes on.
    type Flow;

    /// A constant.
    fn constant(&mut self, v: u64) -> Self::V;
    /// The immediate, sign-extended and cut to the operand size.
    fn imm(&mut self) -> Self::V;
    /// The 64-bit immediate of MOV r64, imm64.
    fn imm64(&mut self) -> Self::V;
    /// The effective address of the memory operand, without segment base, cut to the operand size (LEA).
    fn effective_address(&mut self) -> Self::V;

    /// Reads the first operand.
    fn read_dst(&mut self) -> Result<Self::V, Self::Stop>;
    /// Reads the first operand and makes sure that `write_back` cannot fail.
    fn modify_dst(&mut self) -> Result<Self::V, Self::Stop>;
    /// Writes the first operand after `modify_dst`.
    fn write_back(&mut self, v: Self::V);
    /// Writes the first operand.
    fn write_dst(&mut self, v: Self::V) -> Result<(), Self::Stop>;
    /// Reads the second operand: register, memory or immediate.
    fn read_src(&mut self) -> Result<Self::V, Self::Stop>;
    /// Reads the second operand with a width of its own, zero-extended.
    fn read_src_sized<const BYTES: u8>(&mut self) -> Result<Self::V, Self::Stop>;
    /// Writes the second operand, which is a register.
    fn write_src_reg(&mut self, v: Self::V);

    /// `x + y`, cut to the operand size.
    fn add(&mut self, x: Self::V, y: Self::V) -> Self::V;
    /// `x - y`.
    fn sub(&mut self, x: Self::V, y: Self::V) -> Self::V;
    /// `x & y`.
    fn and(&mut self, x: Self::V, y: Self::V) -> Self::V;
    /// `x | y`.
    fn or(&mut self, x: Self::V, y: Self::V) -> Self::V;
    /// `x ^ y`.
    fn xor(&mut self, x: Self::V, y: Self::V) -> Self::V;
    /// `!x`.
    fn not(&mut self, x: Self::V) -> Self::V;
    /// Sign-extends from `BYTES` to the operand size.
    fn sign_extend<const BYTES: u8>(&mut self, x: Self::V) -> Self::V;
    /// Sign-extends the lower half of the operand size (CBW, CWDE, CDQE).
    fn sign_extend_half(&mut self, x: Self::V) -> Self::V;
    /// All copies of the sign bit (CWD, CDQ, CQO).
    fn sign_fill(&mut self, x: Self::V) -> Self::V;
    /// Reverses the bytes of the operand.
    fn byte_swap(&mut self, x: Self::V) -> Self::V;
    /// CF as 0 or 1.
    fn carry(&mut self) -> Self::V;
    /// Signed product cut to the operand size; CF and OF tell whether it did not fit, the others are undefined.
    fn multiply_signed(&mut self, x: Self::V, y: Self::V) -> Self::V;
    /// Shifts or rotates and sets the flags; a masked count of 0 changes nothing.
    fn shift(&mut self, kind: Shift, x: Self::V, count: Self::V) -> Self::V;

    /// Flags of `x + y (+ carry) = r`.
    fn flags_add(&mut self, x: Self::V, y: Self::V, r: Self::V);
    /// Flags of `x - y (- carry) = r`.
    fn flags_sub(&mut self, x: Self::V, y: Self::V, r: Self::V);
    /// Flags of a logical result: CF = OF = 0.
    fn flags_logic(&mut self, r: Self::V);
    /// Flags of an addition that keeps CF.
    fn flags_inc(&mut self, x: Self::V, r: Self::V);
    /// Flags of a subtraction that keeps CF.
    fn flags_dec(&mut self, x: Self::V, r: Self::V);

    /// Tests a condition.
    fn cond(&mut self, c: Cond) -> Self::B;
    /// `c ? x : y`.
    fn choose(&mut self, c: Self::B, x: Self::V, y: Self::V) -> Self::V;
    /// A truth value as 0 or 1.
    fn as_value(&mut self, c: Self::B) -> Self::V;

    /// Reads a general register by number, in the operand size.
    fn reg(&mut self, n: usize) -> Self::V;
    /// Writes a general register by number, in the operand size.
    fn set_reg(&mut self, n: usize, v: Self::V);

    /// Pushes a value of the operand size. RSP changes only when the write succeeded.
    fn push(&mut self, v: Self::V) -> Result<(), Self::Stop>;
    /// Reads the top of the stack at `RSP`, without moving it.
    fn peek_stack(&mut self) -> Result<Self::V, Self::Stop>;
    /// Moves the stack pointer up by the operand size.
    fn drop_stack(&mut self);
    /// Moves the stack pointer up by the operand size plus the immediate (RET imm16).
    fn drop_stack_imm(&mut self);
    /// LEAVE: the value at RBP, then RSP = RBP + operand size.
    fn leave(&mut self) -> Result<Self::V, Self::Stop>;

    /// Address of the next instruction.
    fn next_rip(&mut self) -> Self::V;
    /// Goes to the target in the instruction, always.
    fn jump(&mut self) -> Self::Flow;
    /// Goes to the target in the instruction when `c` holds.
    fn jump_if(&mut self, c: Self::B) -> Self::Flow;
    /// Goes to a computed address.
    ///
    /// # Errors
    /// #GP when it is not canonical or beyond the code segment's limit.
    fn jump_to(&mut self, target: Self::V) -> Result<Self::Flow, Self::Stop>;
}

/// A semantics that goes on with the next instruction.
pub trait Straight {
    /// Whether it uses the stack besides its operands.
    const STACK: bool = false;
    /// Applies it.
    fn apply<B: Ops>(b: &mut B) -> Result<(), B::Stop>;
}

/// A semantics that decides where execution goes on.
pub trait Branch {
    /// Whether it uses the stack besides its operands.
    const STACK: bool = false;
    /// Applies it.
    fn apply<B: Ops>(b: &mut B) -> Result<B::Flow, B::Stop>;
}
