"""The GDB remote protocol without a gdb: framing, registers, and what packets mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmwb.model.debug import (
    X87,
    DebugStatus,
    DebugStop,
    Memory,
    Registers,
    Segment,
    WatchKind,
    Watchpoint,
)
from vmwb.model.errors import NotFoundError, UsageError, WrongStateError
from vmwb.model.power import PowerState
from vmwb.services.gdb.packets import (
    PACKET_MAX_BYTES,
    GdbProtocolError,
    Interrupt,
    Packet,
    PacketReader,
    Resend,
    encode_packet,
)
from vmwb.services.gdb.stub import Detached, Stub
from vmwb.services.gdb.target import I386, X86_64, View, read_bytes, target_for, value_to_set

FLAT = Segment(16, 0, 0xFFFFFFFF, 0xC09B)
REGISTERS = Registers(
    mode="long64",
    cpl=0,
    halted=False,
    retired=7,
    general=tuple(range(100, 116)),
    rip=0x1000,
    linear_rip=0x1000,
    rflags=2,
    segments=(FLAT,) * 6,
    ldtr=FLAT,
    tr=FLAT,
    gdtr=(0, 0),
    idtr=(0, 0),
    cr0=1,
    cr2=0,
    cr3=0,
    cr4=0,
    cr8=0,
    efer=1 << 10,
    debug=(0,) * 8,
    kernel_gs_base=0,
    x87=X87((1 << 79,) * 8, 0x37F, 0, 0xFFFF, 0, (0, 0), (0, 0)),
    xmm=tuple(range(16)),
    mxcsr=0x1F80,
)
REAL = replace(REGISTERS, mode="real", efer=0, rip=0x10, linear_rip=0x8010)


class FakeMachine:
    """Memory of 256 bytes, registers that can be set, and a stop that is told when asked."""

    def __init__(self, registers: Registers = REGISTERS) -> None:
        self.state = PowerState.RUNNING
        self.values = registers
        self.memory = bytearray(range(256))
        self.breakpoints: set[int] = set()
        self.watchpoints: set[Watchpoint] = set()
        self.set: list[tuple[str, int]] = []
        self.stop: DebugStop | None = None
        self.over = False
        self.processor = 0
        self.processors = 1

    async def status(self) -> DebugStatus:
        rip = self.values.linear_rip
        where = (self.processor, self.processors)
        return DebugStatus(self.state, self.stop, 7, 0, rip, rip, "long64", 0, False, *where)

    async def select(self, processor: int) -> None:
        if processor not in range(self.processors):
            raise UsageError("There is no such processor.")
        self.processor = processor

    async def registers(self) -> Registers:
        return self.values

    async def set_register(self, name: str, value: int) -> None:
        self.set.append((name, value))

    async def read_memory(self, address: int, length: int) -> Memory:
        if address >= len(self.memory):
            raise NotFoundError("Nothing can be read there.")
        return Memory(address, bytes(self.memory[address : address + length]))

    async def write_memory(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = data

    async def set_breakpoint(self, address: int, *, there: bool) -> None:
        (self.breakpoints.add if there else self.breakpoints.discard)(address)

    async def set_watchpoint(self, point: Watchpoint, *, there: bool) -> None:
        (self.watchpoints.add if there else self.watchpoints.discard)(point)

    async def step(self) -> DebugStatus:
        return await self.status()

    async def pause(self) -> None:
        self.state = PowerState.PAUSED

    async def resume(self) -> None:
        self.state = PowerState.RUNNING

    async def wait_stop(self) -> DebugStatus:
        if self.over:
            raise WrongStateError("It has ended.")
        self.state = PowerState.PAUSED
        return await self.status()


async def attached(machine: FakeMachine, view: View = View.AUTO) -> Stub:
    stub = Stub(machine, view)
    await stub.attach()
    return stub


# ---------------------------------------------------------------- framing


def test_reader_cuts_packets_and_knows_control_bytes() -> None:
    reader = PacketReader()

    first = reader.feed(b"+$g#67\x03-$m1")
    second = reader.feed(b",2#fc$x#00")

    assert first == [Packet(b"g", True), Interrupt(), Resend()]
    assert second == [Packet(b"m1,2", True), Packet(b"x", False)]


def test_reader_escapes_survive() -> None:
    raw = bytes(range(256))

    assert PacketReader().feed(encode_packet(raw)) == [Packet(raw, True)]


@pytest.mark.parametrize(
    "data",
    [b"$" + b"x" * (PACKET_MAX_BYTES + 10), b"$" + b"x" * (PACKET_MAX_BYTES + 1) + b"#00"],
)
def test_reader_refuses_what_is_longer_than_announced(data: bytes) -> None:
    with pytest.raises(GdbProtocolError):
        PacketReader().feed(data)


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_reader_takes_any_bytes_in_any_pieces(pieces: list[bytes]) -> None:
    whole = PacketReader().feed(b"".join(pieces))
    reader = PacketReader()

    assert [message for piece in pieces for message in reader.feed(piece)] == whole


# ---------------------------------------------------------------- registers


def test_views_have_the_sizes_that_gdb_expects() -> None:
    wide = [register.size for register in X86_64.registers]
    narrow = [register.size for register in I386.registers]

    assert sum(wide[:24]) == 17 * 8 + 7 * 4
    assert sum(narrow[:16]) == 16 * 4
    assert [register.name for register in X86_64.registers[24:32]] == [f"st{n}" for n in range(8)]
    assert narrow[16:24] == [10] * 8


def test_view_is_chosen_by_the_mode_or_told() -> None:
    assert target_for(View.AUTO, REGISTERS) is X86_64
    assert target_for(View.AUTO, REAL) is I386
    assert target_for(View.I386, REGISTERS) is I386
    assert target_for(View.X86_64, REAL) is X86_64


def test_instruction_pointer_is_linear_and_set_as_an_offset() -> None:
    (eip,) = [register for register in I386.registers if register.name == "eip"]

    assert read_bytes(eip, REAL) == (0x8010).to_bytes(4, "little")
    assert value_to_set(eip, (0x8020).to_bytes(4, "little"), REAL) == 0x20


def test_description_names_every_register_once_in_order() -> None:
    xml = X86_64.xml()

    assert xml.count("<reg ") == len(X86_64.registers)
    assert 'regnum="0"' in xml.split("<reg ")[1]
    assert "i386:x86-64" in xml


# ---------------------------------------------------------------- packets


async def test_attach_stops_and_release_lets_run_without_our_points() -> None:
    machine = FakeMachine()
    stub = await attached(machine)
    assert machine.state is PowerState.PAUSED

    assert await stub.handle(b"Z0,40,1") == b"OK"
    assert await stub.handle(b"Z2,80,4") == b"OK"
    assert (machine.breakpoints, len(machine.watchpoints)) == ({0x40}, 1)
    await stub.release()

    assert (machine.breakpoints, machine.watchpoints) == (set(), set())
    assert machine.state is PowerState.RUNNING


async def test_release_leaves_a_machine_paused_that_was_paused() -> None:
    machine = FakeMachine()
    machine.state = PowerState.PAUSED
    stub = await attached(machine)

    await stub.release()

    assert machine.state is PowerState.PAUSED


async def test_registers_are_read_and_set() -> None:
    machine = FakeMachine()
    stub = await attached(machine)

    whole = await stub.handle(b"g")
    assert whole is not None
    assert whole[:16] == b"6400000000000000"
    assert await stub.handle(b"p10") == b"0010000000000000"
    assert await stub.handle(b"P1=0500000000000000") == b"OK"
    assert machine.set == [("rbx", 5)]
    # CS is not set by a debugger.
    assert await stub.handle(b"P12=00000000") == b"E01"
    changed = b"ff" + whole[2:]
    assert await stub.handle(b"G" + changed) == b"OK"
    assert machine.set[-1] == ("rax", 0xFF)


async def test_memory_is_read_and_written() -> None:
    machine = FakeMachine()
    stub = await attached(machine)

    assert await stub.handle(b"m10,4") == b"10111213"
    assert await stub.handle(b"M10,2:aabb") == b"OK"
    assert await stub.handle(b"X12,2:\xcc}") == b"OK"
    assert await stub.handle(b"X0,0:") == b"OK"
    assert await stub.handle(b"m10,4") == b"aabbcc7d"
    assert await stub.handle(b"mffff,4") == b"E01"


async def test_continue_is_answered_when_the_machine_stops() -> None:
    machine = FakeMachine()
    stub = await attached(machine)
    await stub.handle(b"Z1,1000,1")

    assert await stub.handle(b"vCont;c") is None
    assert (stub.running, machine.state) == (True, PowerState.RUNNING)
    machine.stop = DebugStop("breakpoint", 0x1000)
    assert await stub.stopped() == b"T05thread:1;hwbreak:;"
    machine.stop = DebugStop("watchpoint", 0x80, WatchKind.READ)
    await stub.handle(b"c")
    assert await stub.stopped() == b"T05thread:1;rwatch:80;"
    machine.stop = None
    await stub.handle(b"C05")
    await stub.interrupt()
    assert await stub.stopped() == b"T02thread:1;"
    machine.over = True
    await stub.handle(b"c")
    assert await stub.stopped() == b"W00"


async def test_step_and_continue_at_an_address() -> None:
    machine = FakeMachine(REAL)
    stub = await attached(machine)

    assert await stub.handle(b"s8020") == b"T05thread:1;"
    assert await stub.handle(b"S05;8024") == b"T05thread:1;"
    assert machine.set == [("rip", 0x20), ("rip", 0x24)]


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        (b"qSupported:multiprocess+", lambda reply: b"qXfer:features:read+" in reply),
        (b"QStartNoAckMode", lambda reply: reply == b"OK"),
        (b"qXfer:features:read:target.xml:0,fff", lambda reply: reply[1:6] == b"<?xml"),
        (b"qXfer:features:read:other.xml:0,fff", lambda reply: reply == b""),
        (b"qXfer:features:read:target.xml:x,fff", lambda reply: reply == b"E01"),
        (b"qAttached", lambda reply: reply == b"1"),
        (b"qfThreadInfo", lambda reply: reply == b"m1"),
        (b"qsThreadInfo", lambda reply: reply == b"l"),
        (b"qC", lambda reply: reply == b"QC1"),
        (b"Hg0", lambda reply: reply == b"OK"),
        (b"vCont?", lambda reply: reply == b"vCont;c;C;s;S"),
        (b"vMustReplyEmpty", lambda reply: reply == b""),
        (b"vCont;t", lambda reply: reply == b""),
        (b"?", lambda reply: reply.startswith(b"T05")),
        (b"Z5,0,1", lambda reply: reply == b""),
        (b"Z0,xyz,1", lambda reply: reply == b"E01"),
        (b"P", lambda reply: reply == b"E01"),
        (b"pffff", lambda reply: reply == b"E01"),
        (b"m", lambda reply: reply == b"E01"),
        (b"M0,5:00", lambda reply: reply == b"E01"),
        (b"Gzz", lambda reply: reply == b"E01"),
        (b"", lambda reply: reply == b""),
        (b"\xff\xfe", lambda reply: reply == b""),
    ],
)  # fmt: skip
async def test_packets_are_answered(packet: bytes, answer: Callable[[bytes], bool]) -> None:
    stub = await attached(FakeMachine())

    reply = await stub.handle(packet)

    assert reply is not None
    assert answer(reply), reply


@pytest.mark.parametrize("packet", [b"D", b"k", b"vKill;1"])
async def test_good_byes_leave(packet: bytes) -> None:
    stub = await attached(FakeMachine())

    with pytest.raises(Detached) as leaving:
        await stub.handle(packet)

    assert leaving.value.reply == b"OK"


@given(st.binary(max_size=40))
async def test_any_packet_is_answered_or_leaves(packet: bytes) -> None:
    stub = await attached(FakeMachine())

    try:
        reply = await stub.handle(packet)
    except Detached as leaving:
        reply = leaving.reply

    assert reply is None or len(reply) <= 2 * PACKET_MAX_BYTES


async def test_processors_are_threads_that_count_from_one() -> None:
    machine = FakeMachine()
    machine.processors = 3
    stub = await attached(machine)

    assert await stub.handle(b"qfThreadInfo") == b"m1,2,3"
    assert await stub.handle(b"Hg3") == b"OK"
    assert machine.processor == 2
    assert await stub.handle(b"qC") == b"QC3"
    assert await stub.handle(b"qThreadExtraInfo,3") == b"processor 2".hex().encode()
    assert await stub.handle(b"T3") == b"OK"
    assert await stub.handle(b"T4") == await stub.handle(b"Hg4")
    assert machine.processor == 2


async def test_step_is_that_of_the_thread_that_it_names() -> None:
    machine = FakeMachine()
    machine.processors = 2
    stub = await attached(machine)

    assert await stub.handle(b"vCont;s:2;c") == b"T05thread:2;"
    assert await stub.handle(b"vCont;s:1") == b"T05thread:1;"
