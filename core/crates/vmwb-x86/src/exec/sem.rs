//! The semantics of the common instructions, written once over [`Ops`].

use super::ops::{Branch, Cond, Ops, Shift, Straight};

macro_rules! straight {
    ($($name:ident $(($stack:ident))? => |$b:ident| $body:block)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Straight for $name {
            $(const STACK: bool = stringify!($stack).len() > 0;)?
            #[inline(always)]
            fn apply<B: Ops>($b: &mut B) -> Result<(), B::Stop> $body
        }
    )*};
}

macro_rules! branch {
    ($($name:ident $(($stack:ident))? => |$b:ident| $body:block)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Branch for $name {
            $(const STACK: bool = stringify!($stack).len() > 0;)?
            #[inline(always)]
            fn apply<B: Ops>($b: &mut B) -> Result<B::Flow, B::Stop> $body
        }
    )*};
}

straight! {
    Add => |b| {
        let (y, x) = (b.read_src()?, b.modify_dst()?);
        let r = b.add(x, y);
        b.flags_add(x, y, r);
        b.write_back(r);
        Ok(())
    }
    Adc => |b| {
        let (y, x) = (b.read_src()?, b.modify_dst()?);
        let c = b.carry();
        let t = b.add(x, y);
        let r = b.add(t, c);
        b.flags_add(x, y, r);
        b.write_back(r);
        Ok(())
    }
    Sub => |b| {
        let (y, x) = (b.read_src()?, b.modify_dst()?);
        let r = b.sub(x, y);
        b.flags_sub(x, y, r);
        b.write_back(r);
        Ok(())
    }
    Sbb => |b| {
        let (y, x) = (b.read_src()?, b.modify_dst()?);
        let c = b.carry();
        let t = b.sub(x, y);
        let r = b.sub(t, c);
        b.flags_sub(x, y, r);
        b.write_back(r);
        Ok(())
    }
    Cmp => |b| {
        let (x, y) = (b.read_dst()?, b.read_src()?);
        let r = b.sub(x, y);
        b.flags_sub(x, y, r);
        Ok(())
    }
    And => |b| {
        let (y, x) = (b.read_src()?, b.modify_dst()?);
        let r = b.and(x, y);
        b.flags_logic(r);
        b.write_back(r);
        Ok(())
    }
    Or => |b| {
        let (y, x) = (b.read_src()?, b.modify_dst()?);
        let r = b.or(x, y);
        b.flags_logic(r);
        b.write_back(r);
        Ok(())
    }
    Xor => |b| {
        let (y, x) = (b.read_src()?, b.modify_dst()?);
        let r = b.xor(x, y);
        b.flags_logic(r);
        b.write_back(r);
        Ok(())
    }
    Test => |b| {
        let (x, y) = (b.read_dst()?, b.read_src()?);
        let r = b.and(x, y);
        b.flags_logic(r);
        Ok(())
    }
    Not => |b| {
        let x = b.modify_dst()?;
        let r = b.not(x);
        b.write_back(r);
        Ok(())
    }
    Neg => |b| {
        let y = b.modify_dst()?;
        let x = b.constant(0);
        let r = b.sub(x, y);
        b.flags_sub(x, y, r);
        b.write_back(r);
        Ok(())
    }
    Inc => |b| {
        let x = b.modify_dst()?;
        let one = b.constant(1);
        let r = b.add(x, one);
        b.flags_inc(x, r);
        b.write_back(r);
        Ok(())
    }
    Dec => |b| {
        let x = b.modify_dst()?;
        let one = b.constant(1);
        let r = b.sub(x, one);
        b.flags_dec(x, r);
        b.write_back(r);
        Ok(())
    }
    Mov => |b| {
        let v = b.read_src()?;
        b.write_dst(v)
    }
    MovImm => |b| {
        let v = b.imm64();
        b.write_dst(v)
    }
    Lea => |b| {
        let v = b.effective_address();
        b.write_dst(v)
    }
    Xchg => |b| {
        let x = b.modify_dst()?;
        let y = b.read_src()?;
        b.write_back(y);
        b.write_src_reg(x);
        Ok(())
    }
    Xadd => |b| {
        let x = b.modify_dst()?;
        let y = b.read_src()?;
        let r = b.add(x, y);
        b.flags_add(x, y, r);
        // The register is written first: XADD of a register with itself keeps the sum.
        b.write_src_reg(x);
        b.write_back(r);
        Ok(())
    }
    Movzx8 => |b| {
        let v = b.read_src_sized::<1>()?;
        b.write_dst(v)
    }
    Movzx16 => |b| {
        let v = b.read_src_sized::<2>()?;
        b.write_dst(v)
    }
    Movsx8 => |b| {
        let v = b.read_src_sized::<1>()?;
        let v = b.sign_extend::<1>(v);
        b.write_dst(v)
    }
    Movsx16 => |b| {
        let v = b.read_src_sized::<2>()?;
        let v = b.sign_extend::<2>(v);
        b.write_dst(v)
    }
    Movsxd => |b| {
        let v = b.read_src_sized::<4>()?;
        let v = b.sign_extend::<4>(v);
        b.write_dst(v)
    }
    Bswap => |b| {
        let x = b.read_dst()?;
        let r = b.byte_swap(x);
        b.write_dst(r)
    }
    Imul2 => |b| {
        let y = b.read_src()?;
        let x = b.read_dst()?;
        let r = b.multiply_signed(x, y);
        b.write_dst(r)
    }
    Imul3 => |b| {
        let x = b.read_src()?;
        let y = b.imm();
        let r = b.multiply_signed(x, y);
        b.write_dst(r)
    }
    Push (stack) => |b| {
        let v = b.read_dst()?;
        b.push(v)
    }
    PushImm (stack) => |b| {
        let v = b.imm();
        b.push(v)
    }
    Pop (stack) => |b| {
        let v = b.peek_stack()?;
        b.drop_stack();
        b.write_dst(v)
    }
    Leave (stack) => |b| {
        let v = b.leave()?;
        b.set_reg(5, v);
        Ok(())
    }
    Cbw => |b| {
        let v = b.reg(0);
        let v = b.sign_extend_half(v);
        b.set_reg(0, v);
        Ok(())
    }
    Cwd => |b| {
        let v = b.reg(0);
        let v = b.sign_fill(v);
        b.set_reg(2, v);
        Ok(())
    }
    Nop => |_b| { Ok(()) }
    NopMem => |_b| { Ok(()) }
}

macro_rules! shifts {
    ($($name:ident)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Straight for $name {
            #[inline(always)]
            fn apply<B: Ops>(b: &mut B) -> Result<(), B::Stop> {
                let n = b.read_src()?;
                let x = b.modify_dst()?;
                let r = b.shift(Shift::$name, x, n);
                b.write_back(r);
                Ok(())
            }
        }
    )*};
}
shifts! { Rol Ror Shl Shr Sar }

macro_rules! conditional {
    ($($cond:ident $jump:ident $set:ident $cmov:ident)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $jump;
        impl Branch for $jump {
            #[inline(always)]
            fn apply<B: Ops>(b: &mut B) -> Result<B::Flow, B::Stop> {
                let c = b.cond(Cond::$cond);
                Ok(b.jump_if(c))
            }
        }
        #[derive(Debug)]
        pub(crate) struct $set;
        impl Straight for $set {
            #[inline(always)]
            fn apply<B: Ops>(b: &mut B) -> Result<(), B::Stop> {
                let c = b.cond(Cond::$cond);
                let v = b.as_value(c);
                b.write_dst(v)
            }
        }
        #[derive(Debug)]
        pub(crate) struct $cmov;
        impl Straight for $cmov {
            #[inline(always)]
            fn apply<B: Ops>(b: &mut B) -> Result<(), B::Stop> {
                // The source is read whether or not it is needed, and the upper half is cleared either way.
                let y = b.read_src()?;
                let x = b.read_dst()?;
                let c = b.cond(Cond::$cond);
                let v = b.choose(c, y, x);
                b.write_dst(v)
            }
        }
    )*};
}
conditional! {
    O Jo Seto Cmovo  No Jno Setno Cmovno  B Jb Setb Cmovb  Nb Jnb Setnb Cmovnb
    Z Jz Setz Cmovz  Nz Jnz Setnz Cmovnz  Be Jbe Setbe Cmovbe  Nbe Jnbe Setnbe Cmovnbe
    S Js Sets Cmovs  Ns Jns Setns Cmovns  P Jp Setp Cmovp  Np Jnp Setnp Cmovnp
    L Jl Setl Cmovl  Nl Jnl Setnl Cmovnl  Le Jle Setle Cmovle  Nle Jnle Setnle Cmovnle
}

branch! {
    Jmp => |b| { Ok(b.jump()) }
    JmpInd => |b| {
        let target = b.read_dst()?;
        b.jump_to(target)
    }
    Call (stack) => |b| {
        let back = b.next_rip();
        b.push(back)?;
        Ok(b.jump())
    }
    CallInd (stack) => |b| {
        let target = b.read_dst()?;
        let flow = b.jump_to(target)?;
        let back = b.next_rip();
        b.push(back)?;
        Ok(flow)
    }
    Ret (stack) => |b| {
        let target = b.peek_stack()?;
        let flow = b.jump_to(target)?;
        b.drop_stack_imm();
        Ok(flow)
    }
}
