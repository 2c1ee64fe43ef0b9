# The floppy without the BIOS: the 82077's commands, the 8237's channel 2, IRQ 6.
#
# Cylinder 20, head 1, sector 3 of the floppy holds bytes n x n + 7 (n: the byte's place, modulo 256). The program reads
# it, writes its complement to cylinder 79, head 0, sectors 17 and 18, and reads these back as one transfer.

        .include "sixteen.inc"

        .set    DOR, 0x3f2                      # 82077AA datasheet, section 2.1
        .set    MSR, 0x3f4
        .set    FIFO, 0x3f5
        .set    DIR, 0x3f7
        .set    BUFFER, 0xc000                  # of 1024 bytes; for DMA page 0
        .set    DMA_WRITES_MEMORY, 0x46         # 8237 mode: channel 2, single transfers
        .set    DMA_READS_MEMORY, 0x4a

main:   cli
        movw    $irq_6, 0x0e * 4                # the BIOS has IRQ 6 at vector 0Eh
        movw    $0, 0x0e * 4 + 2
        inb     $0x21, %al
        andb    $0xbf, %al
        outb    %al, $0x21
        sti

        movw    $DOR, %dx
        movb    $0x08, %al                      # reset, with DMA and interrupts
        outb    %al, %dx
        movb    $0, fired
        movb    $0x0c, %al
        outb    %al, %dx
        call    wait_irq
        check   nz, "the reset interrupts"
        movw    $4, %bp                         # one status of each drive
1:      movb    $0x08, %al                      # sense interrupt status
        call    send
        call    receive
        movb    %al, %cl
        call    receive
        decw    %bp
        jnz     1b
        cmpb    $0xc3, %cl                      # polling, drive 3
        check   e, "the reset changes the state of all drives"
        movb    $0x08, %al
        call    send
        call    receive
        cmpb    $0x80, %al
        check   e, "a sense without an interrupt is invalid"
        movb    $0x10, %al                      # version
        call    send
        call    receive
        cmpb    $0x90, %al
        check   e, "the controller is an 82077"

        movw    $0x03f7, %dx                    # 500 kbit/s
        xorb    %al, %al
        outb    %al, %dx
        movb    $0x03, %al                      # specify
        call    send
        movb    $0xdf, %al                      # step rate 3 ms, head unload 240 ms
        call    send
        movb    $0x02, %al                      # head load 2 ms, DMA
        call    send
        movw    $DOR, %dx
        movb    $0x1c, %al                      # the motor of drive 0
        outb    %al, %dx

        movb    $0, fired
        movb    $0x07, %al                      # recalibrate
        call    send
        movb    $0, %al
        call    send
        call    wait_irq
        check   nz, "recalibrate interrupts"
        call    sense
        cmpw    $0x0020, %ax                    # seek end; cylinder 0
        check   e, "recalibrate ends at cylinder 0"
        movb    $20, cylinder
        call    seek
        check   e, "seek ends at cylinder 20"
        movw    $DIR, %dx
        inb     %dx, %al
        testb   $0x80, %al
        check   z, "no disk change since the head moved"

        movb    $DMA_WRITES_MEMORY, %al
        movw    $511, %cx
        call    dma
        movb    $0xe6, %al                      # read, all tracks, MFM, skip deleted
        movb    $1, %bl                         # head
        movb    $3, %bh                         # sector
        call    transfer
        check   z, "read: no error"
        cmpw    $0x0114, result + 3             # cylinder 20, head 1
        check   e, "read: cylinder and head of the result"
        cmpb    $4, result + 5
        check   e, "read: the sector behind it"
        inb     $0x08, %al
        testb   $0x04, %al
        check   nz, "the 8237 came to its terminal count"
        movw    $BUFFER, %si
        movb    $0, %bl
        call    pattern
        check   e, "read: the bytes"

        movw    $BUFFER, %si                    # the complement, twice
        movw    $512, %cx
2:      movb    (%si), %al
        notb    %al
        movb    %al, (%si)
        movb    %al, 512(%si)
        incw    %si
        loop    2b
        movb    $79, cylinder
        call    seek
        check   e, "seek ends at cylinder 79"
        movb    $DMA_READS_MEMORY, %al
        movw    $1023, %cx
        call    dma
        movb    $0xc5, %al                      # write
        movb    $0, %bl
        movb    $17, %bh
        call    transfer
        check   z, "write: no error"

        pushw   %ds
        popw    %es
        movw    $BUFFER, %di
        movw    $512, %cx
        xorw    %ax, %ax
        rep stosw
        movb    $DMA_WRITES_MEMORY, %al
        movw    $1023, %cx
        call    dma
        movb    $0xe6, %al
        movb    $0, %bl
        movb    $17, %bh
        call    transfer
        check   z, "read back: no error"
        movw    $BUFFER, %si
        movb    $0xff, %bl
        call    pattern
        check   e, "read back: the first sector"
        movw    $BUFFER + 512, %si
        movb    $0xff, %bl
        call    pattern
        check   e, "read back: the second sector"

        movb    $DMA_WRITES_MEMORY, %al
        movw    $511, %cx
        call    dma
        movb    $0xe6, %al
        movb    $0, %bl
        movb    $19, %bh
        call    transfer
        check   nz, "no sector 19"
        testb   $0x04, result + 1
        check   nz, "no sector 19: no data"

        movb    $0, fired
        movb    $0x4a, %al                      # read ID
        call    send
        movb    $0, %al
        call    send
        call    results
        check   z, "read ID: no error"
        cmpb    $79, result + 3
        check   e, "read ID: the cylinder"
        cmpb    $2, result + 6
        check   e, "read ID: sectors of 512 bytes"
        movb    $0x04, %al                      # sense drive status
        call    send
        movb    $0, %al
        call    send
        call    receive
        testb   $0x50, %al
        check   z, "not at track 0, not write-protected"

        cli                                     # the 8259 polled, as boot programs do that have no interrupt table
        inb     $0x21, %al
        pushw   %ax
        movb    $0xbf, %al                      # IRQ 6 alone
        outb    %al, $0x21
        movb    $10, cylinder
        call    start_seek
        call    poll
        cmpb    $0x07, %al
        check   e, "poll without a request"
2:      call    poll
        testb   $1, %al
        jnz     2b
        cmpb    $0x86, %al
        check   e, "poll of the seek's end"
        movb    $0x20, %al                      # the poll has acknowledged it
        outb    %al, $0x20
        call    sense
        cmpw    $0x0a20, %ax
        check   e, "polled seek ends at cylinder 10"
        popw    %ax
        outb    %al, $0x21
        sti
        ret

poll:   movb    $0x0c, %al                      # AL: the poll word
        outb    %al, $0x20
        inb     $0x20, %al
        ret

irq_6:  pushw   %ax
        movb    $1, %cs:fired
        movb    $0x20, %al
        outb    %al, $0x20
        popw    %ax
        iretw

send:   movb    %al, %ah                        # AL, when the controller wants a byte
        movw    $MSR, %dx
1:      inb     %dx, %al
        andb    $0xc0, %al
        cmpb    $0x80, %al
        jne     1b
        incw    %dx
        movb    %ah, %al
        outb    %al, %dx
        ret

receive:                                        # AL, when the controller has a byte
        movw    $MSR, %dx
1:      inb     %dx, %al
        andb    $0xc0, %al
        cmpb    $0xc0, %al
        jne     1b
        incw    %dx
        inb     %dx, %al
        ret

sense:  movb    $0x08, %al                      # AL status 0, AH cylinder
        call    send
        call    receive
        movb    %al, %cl
        call    receive
        movb    %al, %ah
        movb    %cl, %al
        ret

start_seek:
        movb    $0, fired
        movb    $0x0f, %al
        call    send
        movb    $0, %al
        call    send
        movb    cylinder, %al
        jmp     send

seek:   call    start_seek                      # ZF: it ended at `cylinder`
        call    wait_irq
        call    sense
        subb    $0x20, %al
        orb     %al, %al
        jnz     1f
        cmpb    cylinder, %ah
1:      ret

dma:    movb    %al, %bl                        # mode AL, CX + 1 bytes at BUFFER
        movb    $0x06, %al
        outb    %al, $0x0a                      # mask channel 2
        outb    %al, $0x0c                      # low byte first
        movb    %bl, %al
        outb    %al, $0x0b
        movw    $BUFFER, %ax
        outb    %al, $0x04
        movb    %ah, %al
        outb    %al, $0x04
        xorb    %al, %al
        outb    %al, $0x81
        movb    %cl, %al
        outb    %al, $0x05
        movb    %ch, %al
        outb    %al, $0x05
        movb    $0x02, %al
        outb    %al, $0x0a
        ret

transfer:                                       # command AL at head BL, sector BH; ZF: no error
        movb    $0, fired
        call    send
        movb    %bl, %al
        shlb    $2, %al
        call    send
        movb    cylinder, %al
        call    send
        movb    %bl, %al
        call    send
        movb    %bh, %al
        call    send
        movb    $2, %al                         # 512 bytes
        call    send
        movb    $18, %al                        # end of track
        call    send
        movb    $0x1b, %al                      # gap
        call    send
        movb    $0xff, %al
        call    send
results:                                        # the seven bytes; ZF: no error
        call    wait_irq
        movw    $result, %di
1:      call    receive
        movb    %al, (%di)
        incw    %di
        cmpw    $result + 7, %di
        jne     1b
        testb   $0xc0, result
        ret

cylinder:       .byte   0
result:         .fill   7, 1, 0
