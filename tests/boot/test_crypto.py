"""A stock kernel tests its own cryptography on our processor and finds no fault.

The kernel compares each implementation with known answers when its module is loaded, and refuses
one that fails. They are written by hand with the instructions that are hard to get right (AES, SHA,
PCLMULQDQ, CRC32, PSHUFB, carries), which makes them an oracle that nobody here has written.
"""

from __future__ import annotations

import re
from pathlib import Path

import guests
import initramfs
import pytest
from command import BOOT_SECONDS, Vmwb

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 2)]

#: Modes of ciphers, which the accelerated modules build on.
TEMPLATES = ["ecb", "ctr", "cts", "xts", "lrw", "gcm", "ccm", "cmac", "authenc", "adiantum"]
#: Modules for processors with all that model `max` announces, and what they register.
ACCELERATED = {
    "aesni-intel": ["aes-aesni", "cbc-aes-aesni", "ctr-aes-aesni", "xts-aes-aesni"],
    "ghash-clmulni-intel": ["ghash-clmulni"],
    "crct10dif-pclmul": ["crct10dif-pclmul"],
    "crc32c-intel": ["crc32c-intel"],
    "crc32-pclmul": ["crc32-pclmul"],
    "sha1-ssse3": ["sha1-ni", "sha1-ssse3"],
    "sha256-ssse3": ["sha256-ni", "sha256-ssse3", "sha224-ni"],
    "sha512-ssse3": ["sha512-ssse3", "sha384-ssse3"],
    "chacha-x86_64": ["chacha20-simd", "xchacha12-simd"],
    "nhpoly1305-sse2": ["nhpoly1305-sse2"],
    "aegis128-aesni": ["aegis128-aesni"],
    "serpent-sse2-x86_64": ["cbc-serpent-sse2"],
    "twofish-x86_64-3way": ["cbc-twofish-3way"],
    "camellia-x86_64": ["camellia-asm"],
    "blowfish-x86_64": ["blowfish-asm"],
    "des3_ede-x86_64": ["des3_ede-asm"],
    "curve25519-x86_64": ["curve25519-x86"],
}
#: The same in C, which the kernel tests too.
GENERIC = ["sha3_generic", "streebog_generic", "wp512", "rmd160", "md4", "ghash-generic", "lz4"]
INIT = b"""#!/bin/busybox sh
/bin/busybox mkdir /proc
/bin/busybox mount -t proc proc /proc
while read module; do
  /bin/busybox insmod /modules/$module || echo "refused: $module"
done < /modules/order
/bin/busybox cat /proc/crypto
/bin/busybox dmesg
echo "all is loaded"
/bin/busybox poweroff -f
"""


def machine(folder: Path) -> list[str]:
    """Return the options of a machine that loads the modules and switches itself off."""
    kernel = guests.kernel("cloud-amd64", "amd64")
    wanted = [*TEMPLATES, *GENERIC, *ACCELERATED, "raid6_pq"]
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        initramfs.console(),
        initramfs.program("bin/busybox", guests.busybox("amd64").read_bytes()),
        initramfs.program("init", INIT),
        *initramfs.modules(guests.kernel_modules(kernel, wanted)),
    ]
    image = folder / "crypto.cpio.gz"
    image.write_bytes(initramfs.archive(entries))
    options = ["--kernel", str(kernel), "--initrd", str(image), "--cpu-model", "max"]
    return [*options, "--append", "console=ttyS0 quiet"]


def registered(output: str) -> dict[str, str]:
    """Return how the test of each driver in /proc/crypto ended."""
    pattern = r"^driver\s*: (\S+)$.*?^selftest\s*: (\w+)$"
    return dict(re.findall(pattern, output, re.MULTILINE | re.DOTALL))


def test_kernel_finds_no_fault_in_its_cryptography(vmwb: Vmwb, tmp_path: Path) -> None:
    done = vmwb.run("run", "--headless", *machine(tmp_path), seconds=BOOT_SECONDS)

    output = done.stdout.replace("\r", "")
    assert "all is loaded" in output, output[-3000:]
    drivers = registered(output)
    expected = {name for names in ACCELERATED.values() for name in names}
    assert expected - drivers.keys() == set()
    assert set(drivers.values()) == {"passed"}
    assert "refused: " not in output
    assert "raid6: using ssse3x2 recovery algorithm" in output
    faults = r"alg: (?!self-tests for .* passed).*|.*(?:unchecked MSR access|WARNING:|BUG:).*"
    assert re.findall(faults, output) == []
