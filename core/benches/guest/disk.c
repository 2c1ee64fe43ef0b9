/* Reads or writes a disk in the guest and marks the beginning and the end on the serial port.

   disk read|cached|write NAME DEVICE MIB [FIRST_MIB]

   read: past the guest's cache. cached: through it, with its read-ahead. write: through it, and then made durable.
   One request of 1 MiB after another. The markers are those of wl.c; `chk` sums up the first eight bytes of each
   sector, so that whoever compares sees whether two peers moved the same. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <unistd.h>

enum { MIB = 1 << 20, SECTOR = 512 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t add(uint64_t sum, const unsigned char *data)
{
    for (int at = 0; at < MIB; at += SECTOR) {
        uint64_t word;
        memcpy(&word, data + at, sizeof word);
        sum = (sum ^ word) * 0x100000001B3u;
    }
    return sum;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "disk read|cached|write NAME DEVICE MIB [FIRST_MIB]\n");
        return 2;
    }
    const char *name = argv[2];
    int writes = !strcmp(argv[1], "write"), direct = !strcmp(argv[1], "read");
    long count = atol(argv[4]), first = argc > 5 ? atol(argv[5]) : 0;
    int file = open(argv[3], (writes ? O_WRONLY : O_RDONLY) | (direct ? O_DIRECT : 0));
    if (file < 0)
        fail(argv[3]);
    if (lseek(file, (off_t)first * MIB, SEEK_SET) < 0)
        fail("lseek");
    unsigned char *data;
    if (posix_memalign((void **)&data, 4096, MIB))
        fail("memory");
    memset(data, 0x5A, MIB);
    /* What the guest has cached of the device would be read from there. */
    if (ioctl(file, BLKFLSBUF) < 0)
        fail("BLKFLSBUF");
    uint64_t sum = 0xCBF29CE484222325u;
    printf("@B %s\n", name);
    fflush(stdout);
    for (long i = 0; i < count; i++) {
        if (writes && write(file, data, MIB) != MIB)
            fail("write");
        if (!writes && read(file, data, MIB) != MIB)
            fail("read");
        sum = add(sum, data);
    }
    if (writes && fsync(file) < 0)
        fail("fsync");
    printf("@E %s s=0.0 tsc=0 chk=%llx\n", name, (unsigned long long)sum);
    return 0;
}
