# The IDE disk and the CD without the BIOS: PIO by ports 1F0h and 170h, IRQ 14 and 15.
#
# Sector 1000 of the disk (IDE 0, master) and block 20 of the CD (IDE 1, master) begin with 512 bytes n x n + 7 (n: the
# byte's place, modulo 256). The program writes their complement to sectors 3000 and 3001 of the disk, by LBA, and reads
# them back by cylinder, head and sector, both in one block.

        .include "sixteen.inc"

        .set    DISK, 0x1f0                     # ATA-6, section 7: the command block's registers from here
        .set    CDROM, 0x170
        .set    BUFFER, 0xc000

main:   cli
        movw    $irq_14, 0x76 * 4               # the BIOS has IRQ 8 at vector 70h
        movw    $0, 0x76 * 4 + 2
        movw    $irq_15, 0x77 * 4
        movw    $0, 0x77 * 4 + 2
        inb     $0xa1, %al
        andb    $0x3f, %al
        outb    %al, $0xa1
        inb     $0x21, %al
        andb    $0xfb, %al
        outb    %al, $0x21
        movw    $0x3f6, %dx                     # device control: interrupts on
        xorb    %al, %al
        outb    %al, %dx
        movw    $0x376, %dx
        outb    %al, %dx
        sti

        movw    $DISK, %bp
        movb    $0xa0, %ah
        call    select
        movb    $0xec, %al                      # IDENTIFY DEVICE
        call    command
        call    wait_irq
        check   nz, "IDENTIFY interrupts"
        movw    $1, %cx
        call    read_sectors
        check   z, "IDENTIFY gives a sector"
        testw   $0x8000, BUFFER
        check   z, "IDENTIFY: an ATA device"
        cmpl    $16384, BUFFER + 60 * 2
        check   e, "IDENTIFY: 16384 sectors"
        testw   $0x0200, BUFFER + 49 * 2
        check   nz, "IDENTIFY: LBA"
        cmpw    $1, BUFFER + 1 * 2
        check   ae, "IDENTIFY: cylinders"

        movl    $1000, %esi
        movb    $1, %cl
        movb    $0x20, %al                      # READ SECTORS
        call    lba
        call    wait_irq
        movw    $1, %cx
        call    read_sectors
        check   z, "READ SECTORS: no error"
        movw    $BUFFER, %si
        movb    $0, %bl
        call    pattern
        check   e, "READ SECTORS: the bytes"

        movw    $BUFFER, %si
        movw    $512, %cx
1:      notb    (%si)
        incw    %si
        loop    1b
        movl    $3000, %esi
        movb    $2, %cl
        movb    $0x30, %al                      # WRITE SECTORS
        call    lba
        call    write_sector                    # the first comes without an interrupt
        call    wait_irq
        check   nz, "WRITE SECTORS: the drive wants the second"
        call    write_sector
        call    wait_irq
        check   nz, "WRITE SECTORS: and ends"
        movw    $DISK + 7, %dx
        inb     %dx, %al
        andb    $0x89, %al                      # BSY, DRQ, ERR
        check   z, "WRITE SECTORS: no error, and idle"
        movb    $0xe7, %al                      # FLUSH CACHE
        call    command
        call    wait_irq
        check   nz, "FLUSH CACHE interrupts"

        movw    $DISK + 2, %dx
        movb    $2, %al
        outb    %al, %dx
        movb    $0xc6, %al                      # SET MULTIPLE MODE, 2 sectors
        call    command
        call    wait_irq
        movw    $DISK + 2, %dx                  # sector 3000 with 16 heads and 63 sectors: 2, 15, 40
        movb    $2, %al
        outb    %al, %dx
        incw    %dx
        movb    $3000 % 63 + 1, %al
        outb    %al, %dx
        incw    %dx
        movb    $3000 / 63 / 16, %al
        outb    %al, %dx
        incw    %dx
        xorb    %al, %al
        outb    %al, %dx
        incw    %dx
        movb    $0xa0 + 3000 / 63 % 16, %al
        outb    %al, %dx
        movb    $0xc4, %al                      # READ MULTIPLE
        call    command
        call    wait_irq
        movw    $2, %cx
        call    read_sectors
        check   z, "READ MULTIPLE: two sectors for one interrupt"
        movw    $BUFFER, %si
        movb    $0xff, %bl
        call    pattern
        check   e, "READ MULTIPLE: the first"
        movw    $BUFFER + 512, %si
        movb    $0xff, %bl
        call    pattern
        check   e, "READ MULTIPLE: the second"

        movl    $16384, %esi
        movb    $1, %cl
        movb    $0x20, %al
        call    lba
        call    wait_irq
        movw    $DISK + 7, %dx
        inb     %dx, %al
        andb    $0x89, %al
        cmpb    $0x01, %al
        check   e, "no sector behind the end: ERR without DRQ"
        movw    $DISK + 1, %dx
        inb     %dx, %al
        testb   $0x10, %al
        check   nz, "no sector behind the end: ID not found"
        movb    $0x01, %al                      # no command
        call    command
        call    wait_irq
        movw    $DISK + 1, %dx
        inb     %dx, %al
        testb   $0x04, %al
        check   nz, "an unknown command is aborted"

        movw    $CDROM, %bp
        movb    $0xa0, %ah
        call    select
        movb    $0xec, %al
        call    command
        call    wait_irq
        movw    $CDROM + 1, %dx
        inb     %dx, %al
        testb   $0x04, %al
        check   nz, "IDENTIFY DEVICE is not for CD drives"
        movw    $CDROM + 4, %dx
        inb     %dx, %al
        movb    %al, %ah
        incw    %dx
        inb     %dx, %al
        xchgb   %al, %ah
        cmpw    $0xeb14, %ax
        check   e, "and leaves the signature of packets"
        movb    $0xa1, %al                      # IDENTIFY PACKET DEVICE
        call    command
        call    wait_irq
        movw    $1, %cx
        call    read_sectors
        check   z, "IDENTIFY PACKET DEVICE gives a sector"
        movw    BUFFER, %ax
        andw    $0xdf00, %ax
        cmpw    $0x8500, %ax
        check   e, "IDENTIFY PACKET DEVICE: a CD drive"

        movw    $4, %di                         # unit attention first, some times
2:      movw    $unit_ready, %si
        call    packet
        call    wait_irq
        movw    $CDROM + 7, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      3f
        decw    %di
        jnz     2b
3:      testb   $1, %al
        check   z, "TEST UNIT READY"
        movw    $read_10, %si
        call    packet
        call    wait_irq
        movw    $CDROM + 2, %dx
        inb     %dx, %al
        andb    $0x03, %al
        cmpb    $0x02, %al
        check   e, "READ(10): data to the host"
        movw    $CDROM + 4, %dx
        inb     %dx, %al
        movb    %al, %ah
        incw    %dx
        inb     %dx, %al
        xchgb   %al, %ah
        cmpw    $2048, %ax
        check   e, "READ(10): 2048 bytes"
        movw    $4, %cx
        call    read_sectors
        movw    $BUFFER, %si
        movb    $0, %bl
        call    pattern
        check   e, "READ(10): the bytes"
        call    wait_irq
        check   nz, "READ(10): an interrupt at the end"
        movw    $CDROM + 7, %dx
        inb     %dx, %al
        andb    $0x89, %al
        check   z, "READ(10): no error"
        ret

irq_15: pushw   %ax
        pushw   %dx
        movw    $CDROM + 7, %dx
        jmp     1f
irq_14: pushw   %ax
        pushw   %dx
        movw    $DISK + 7, %dx
1:      inb     %dx, %al                        # the drive takes its request back
        movb    $1, %cs:fired
        movb    $0x20, %al
        outb    %al, $0xa0
        outb    %al, $0x20
        popw    %dx
        popw    %ax
        iretw

select: leaw    6(%bp), %dx
        movb    %ah, %al
        outb    %al, %dx
command_ready:                                  # until neither BSY nor DRQ is set
        leaw    7(%bp), %dx
1:      inb     %dx, %al
        testb   $0x88, %al
        jnz     1b
        ret

command:                                        # AL to the selected drive
        leaw    7(%bp), %dx
        outb    %al, %dx
        ret

lba:    pushw   %ax                             # command AL for CL sectors from ESI on
        leaw    2(%bp), %dx
        movb    %cl, %al
        outb    %al, %dx
        movl    %esi, %eax
        incw    %dx
        outb    %al, %dx
        shrl    $8, %eax
        incw    %dx
        outb    %al, %dx
        shrl    $8, %eax
        incw    %dx
        outb    %al, %dx
        movb    $0xe0, %al
        incw    %dx
        outb    %al, %dx
        popw    %ax
        jmp     command

read_sectors:                                   # CX x 512 bytes to BUFFER; ZF: no error, and no more data
        leaw    7(%bp), %dx
1:      inb     %dx, %al
        testb   $0x80, %al
        jnz     1b
        testb   $0x08, %al
        jz      2f
        shlw    $8, %cx
        movw    %bp, %dx
        movw    $BUFFER, %di
        rep insw
        leaw    7(%bp), %dx
        inb     %dx, %al
        testb   $0x09, %al
        ret
2:      orb     $1, %al
        ret

write_sector:                                   # the bytes at BUFFER
        leaw    7(%bp), %dx
1:      inb     %dx, %al
        andb    $0x88, %al
        cmpb    $0x08, %al
        jne     1b
        movw    %bp, %dx
        movw    $BUFFER, %si
        movw    $256, %cx
        rep outsw
        ret

packet: leaw    1(%bp), %dx                     # the 12 bytes at SI, answers by PIO
        xorb    %al, %al
        outb    %al, %dx
        leaw    4(%bp), %dx
        outb    %al, %dx
        incw    %dx
        movb    $0x08, %al                      # 2048 bytes at a time
        outb    %al, %dx
        movb    $0xa0, %al                      # PACKET
        call    command
1:      inb     %dx, %al
        andb    $0x88, %al
        cmpb    $0x08, %al
        jne     1b
        cli
        movb    $0, fired
        movw    %bp, %dx
        movw    $6, %cx
        rep outsw
        sti
        ret

        .balign 2
unit_ready:     .fill   12, 1, 0
read_10:        .byte   0x28, 0, 0, 0, 0, 20, 0, 0, 1, 0, 0, 0
