"""Throughput of the guest's disks beside QEMU's, on images that lie in the host's cache.

A Debian kernel with its own drivers reads and writes four disks in turn (guest/disks,
guest/disk.c): on virtio, as raw and as qcow2 image, on IDE by DMA, and on an IDE disk that is held
to PIO. Every peer runs the same commands on the same images; what they read must sum up to the
same.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

import debian_guests
import initramfs
import peers
from workload import GUEST, KERNEL_OPTIONS, Workload

#: Least share of QEMU's throughput, for reads through virtio and through DMA.
LIMIT = 0.4
PASSES = 3
RUN_SECONDS = 300.0
_MIB = 1 << 20
_READ_MIB, _WRITE_MIB, _PIO_MIB = 256, 128, 32
_MODULES = ("virtio_pci", "virtio_blk", "ata_piix", "sd_mod")
_OPTIONS = f"{KERNEL_OPTIONS} quiet"
#: Marker, title, MiB, whether LIMIT holds.
_ROWS = (
    ("virtio_read", "virtio, reads of 1 MiB", _READ_MIB, True),
    ("virtio_cached", "virtio, reads through the guest's cache", _READ_MIB, True),
    ("qcow2_read", "virtio, qcow2 image, reads of 1 MiB", _READ_MIB, False),
    ("dma_read", "IDE DMA, reads of 1 MiB", _READ_MIB, True),
    ("dma_cached", "IDE DMA, reads through the guest's cache", _READ_MIB, True),
    ("pio_read", "IDE PIO, reads of 1 MiB", _PIO_MIB, False),
    ("virtio_write", "virtio, writes through the cache and fsync", _WRITE_MIB, False),
    ("dma_write", "IDE DMA, writes through the cache and fsync", _WRITE_MIB, False),
    ("pio_write", "IDE PIO, writes through the cache and fsync", _PIO_MIB, False),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of access: MiB a second, how our CPU seconds relate to QEMU's, equal sums."""

    title: str
    qemu: float
    vmwb: float
    cpu_ratio: float
    equal: bool
    limited: bool


@dataclass(frozen=True, slots=True)
class Disks:
    """All rows, of how many passes, and the least and highest load of the host meanwhile."""

    rows: tuple[Row, ...]
    passes: int
    load: tuple[float, float]

    @property
    def equal(self) -> bool:
        """Whether both peers read and wrote the same."""
        return all(row.equal for row in self.rows)


def measure(folder: Path, repeats: int) -> Disks:
    """Run both peers `repeats` times in turn. Raises peers.PeerError."""
    load, disks = _workload(folder), _images(folder)
    append = f"{_OPTIONS} passes={PASSES}"
    runs: dict[str, dict[str, list[peers.KernelRun]]] = {name: {} for name in peers.PEERS}
    loads: list[float] = []
    for repeat in range(1, repeats + 1):
        for peer, command in peers.PEERS.items():
            print(f"disks {repeat}/{repeats}: {peer}", flush=True)
            for disk in disks:
                _touch(disk.image)
            loads.append(os.getloadavg()[0])
            measured = peers.follow(peer, command(load, append, disks), RUN_SECONDS)
            loads.append(os.getloadavg()[0])
            for marker, run in measured.kernels.items():
                runs[peer].setdefault(marker.rpartition("_")[0], []).append(run)
    rows = tuple(_row(runs, *row) for row in _ROWS)
    return Disks(rows, PASSES * repeats, (min(loads), max(loads)))


def _row(
    runs: dict[str, dict[str, list[peers.KernelRun]]],
    marker: str,
    title: str,
    mib: int,
    limited: bool,
) -> Row:
    elapsed, seconds = (
        {
            peer: statistics.median(getattr(run, part) for run in all_runs[marker])
            for peer, all_runs in runs.items()
        }
        for part in ("elapsed", "seconds")
    )
    sums = {run.checksum for all_runs in runs.values() for run in all_runs[marker]}
    cpu_ratio = seconds["vmwb"] / seconds["qemu"]
    return Row(
        title, mib / elapsed["qemu"], mib / elapsed["vmwb"], cpu_ratio, len(sums) == 1, limited
    )


def _workload(folder: Path) -> Workload:
    """Debian's kernel for clouds, which has the drivers as modules, with these and our program."""
    program = folder / "disk"
    subprocess.run(["gcc", "-O2", "-static", "-o", program, GUEST / "disk.c"], check=True)
    busybox = debian_guests.busybox("amd64")
    kernel = debian_guests.kernel("cloud-amd64", "amd64")
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev", "proc")),
        initramfs.console(),
        initramfs.program("bin/busybox", busybox.read_bytes()),
        initramfs.program("disk", program.read_bytes()),
        initramfs.program("init", (GUEST / "disks").read_bytes()),
        *initramfs.modules(debian_guests.modules(kernel, _MODULES)),
    ]
    initrd = folder / "disks.cpio.gz"
    initrd.write_bytes(initramfs.archive(entries))
    return Workload("amd64", program, busybox, kernel, initrd)


def _images(folder: Path) -> list[peers.Disk]:
    """Make the images: data that do not repeat, and room to write behind them."""
    data = random.Random(1)  # noqa: S311 - not a secret
    images = [folder / f"{name}.img" for name in ("virtio", "dma", "pio")]
    for image, read, write in zip(
        images,
        (_READ_MIB, _READ_MIB, _PIO_MIB),
        (_WRITE_MIB, _WRITE_MIB, _PIO_MIB),
        strict=True,
    ):
        with image.open("wb") as file:
            for _ in range(read):
                file.write(data.randbytes(_MIB))
            file.truncate((read + write) * _MIB)
    qcow2 = folder / "virtio.qcow2"
    convert = ("qemu-img", "convert", "-O", "qcow2", images[0], qcow2)
    subprocess.run(convert, check=True)
    return [
        peers.Disk("virtio0", images[0]),
        peers.Disk("virtio1", qcow2, "qcow2"),
        peers.Disk("ide0", images[1]),
        peers.Disk("ide2", images[2]),
    ]


def _touch(image: Path) -> None:
    """Bring an image into the host's cache."""
    with image.open("rb") as file:
        while file.read(16 * _MIB):
            pass
