# A disk that another machine has partitioned, with 4 heads of 17 sectors: BIOS and drive count as its partitions do.
#
# The disk has 615 cylinders and one partition of them all. Its last three sectors (cylinder 614, head 3, sectors 15 to 17)
# hold bytes n x n + 7 (n: the byte's place, modulo 256). The program reads them by INT 13h, and then by the drive's
# registers, as the AT driver of MINIX 1 does: interrupt, data, and the status last.

        .include "sixteen.inc"

        .set    DISK, 0x1f0                     # ATA-6, section 7: the command block's registers from here
        .set    BUFFER, 0xc000                  # of 1536 bytes
        .set    CYLINDER, 614
        .set    HEAD, 3
        .set    SECTOR, 15

main:   movb    $0x08, %ah                      # INT 13h: parameters of disk 0
        movb    $0x80, %dl
        pushw   %es
        int     $0x13
        popw    %es
        andb    $0x3f, %cl
        pushw   %cx
        cmpb    $HEAD, %dh
        check   e, "INT 13h, AH = 8: four heads"
        popw    %cx
        cmpb    $17, %cl
        check   e, "INT 13h, AH = 8: 17 sectors"

        movw    $0x0203, %ax                    # read three sectors
        movw    $BUFFER, %bx
        movw    $(CYLINDER & 0xff) << 8 | CYLINDER >> 8 << 6 | SECTOR, %cx
        movw    $HEAD << 8 | 0x80, %dx
        int     $0x13
        check   nc, "INT 13h, AH = 2: the last sectors"
        call    three
        check   e, "INT 13h, AH = 2: their bytes"

        movw    $0x76 * 4, %bx                  # IRQ 14, without reading the status
        cli
        movw    $irq_14, (%bx)
        movw    $0, 2(%bx)
        inb     $0xa1, %al
        andb    $0xbf, %al
        outb    %al, $0xa1
        inb     $0x21, %al
        andb    $0xfb, %al
        outb    %al, $0x21
        movw    $0x3f6, %dx                     # device control: interrupts on
        movb    $0x08, %al
        outb    %al, %dx
        sti
        call    idle
        check   e, "the drive is ready, and has sought"

        movw    $DISK + 6, %dx
        movb    $0xa0, %al
        outb    %al, %dx
        incw    %dx
        movb    $0xec, %al                      # IDENTIFY DEVICE
        outb    %al, %dx
        call    wait_irq
        check   nz, "IDENTIFY interrupts"
        call    sector
        call    idle
        check   e, "IDENTIFY ends"
        cmpw    $615, BUFFER + 1 * 2
        check   e, "IDENTIFY: 615 cylinders"
        cmpw    $4, BUFFER + 3 * 2
        check   e, "IDENTIFY: 4 heads"
        cmpw    $17, BUFFER + 6 * 2
        check   e, "IDENTIFY: 17 sectors"
        cmpl    $615 * 4 * 17, BUFFER + 57 * 2
        check   e, "IDENTIFY: all are reached"

        xorw    %ax, %ax
        movw    $BUFFER, %di
        movw    $768, %cx
        rep stosw
        movw    $registers, %si
        movw    $DISK + 1, %dx
        movw    $7, %cx
1:      lodsb
        outb    %al, %dx
        incw    %dx
        loop    1b
        movw    $BUFFER, %di
        movw    $3, %bp
2:      call    wait_irq
        check   nz, "READ SECTORS: an interrupt for each"
        call    more
        movw    $DISK + 7, %dx
        inb     %dx, %al
        decw    %bp
        jnz     2b
        call    idle
        check   e, "READ SECTORS ends"
        call    three
        check   e, "READ SECTORS: their bytes"
        ret

registers:                                      # features to command
        .byte   0, 3, SECTOR, CYLINDER & 0xff, CYLINDER >> 8, 0xa0 | HEAD, 0x20

irq_14: pushw   %ax
        movb    $1, %cs:fired
        movb    $0x20, %al
        outb    %al, $0xa0
        outb    %al, $0x20
        popw    %ax
        iretw

sector: movw    $BUFFER, %di
more:   movw    $DISK, %dx                      # 512 bytes to DI
        movw    $256, %cx
        rep insw
        ret

idle:   movw    $DISK + 7, %dx                  # ZF: ready, sought, and nothing else
        inb     %dx, %al
        cmpb    $0x50, %al
        ret

three:  movw    $BUFFER, %si                    # ZF: three sectors hold n x n + 7
        xorw    %cx, %cx
1:      movb    %cl, %al
        mulb    %al
        addb    $7, %al
        cmpb    (%si), %al
        jne     2f
        incw    %si
        incw    %cx
        cmpw    $1536, %cx
        jne     1b
2:      ret
