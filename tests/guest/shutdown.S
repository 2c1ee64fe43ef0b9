# The way back from protected mode that the 286 has: shutdown codes in the CMOS and a reset of the processor.
#
# The BIOS looks at CMOS register 0Fh after each reset: with 0Ah it jumps to the far address at 40:67, with 05h it does
# so after an end of interrupt. Memory keeps what it holds. The reset comes from the 8042 (command FEh), from port 92h, and
# from the chipset when the processor shuts down after a triple fault.

        .include "sixteen.inc"

        .set    MARK, 0x600000                  # memory above 1 MiB
        .set    SHUTDOWN_CODE, 0x8f             # CMOS 0Fh, NMI masked

# Reset the processor in protected mode by code \cause with shutdown code \code; execution goes on behind this.
        .macro  shutdown code:req, cause:req
        movw    %sp, stack
        movw    $1f, 0x467
        movw    $0, 0x469
        movb    $SHUTDOWN_CODE, %al
        outb    %al, $0x70
        movb    $\code, %al
        outb    %al, $0x71
        cli
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $\cause
1:      call    returned
        .endm

main:   movw    $0x2401, %ax
        int     $0x15
        movl    $0x11111111, low_mark
        shutdown 0x0a, by_8042
        movl    %cr0, %eax
        testb   $1, %al
        check   z, "8042: real mode again"
        cmpl    $0xdeadbeef, low_mark
        check   e, "8042: memory below 1 MiB keeps what was written in protected mode"
        call    high_mark
        cmpl    $0xcafe0001, %eax
        check   e, "8042: memory above 1 MiB too"
        movb    $SHUTDOWN_CODE, %al
        outb    %al, $0x70
        inb     $0x71, %al
        testb   %al, %al
        check   z, "8042: the BIOS has cleared the code"

        movl    $0x11111111, low_mark
        shutdown 0x05, by_port_92
        movl    %cr0, %eax
        testb   $1, %al
        check   z, "port 92h: real mode again"
        cmpl    $0xdeadbeef, low_mark
        check   e, "port 92h: memory is kept"
        call    high_mark
        cmpl    $0xcafe0002, %eax
        check   e, "port 92h: above 1 MiB too"

        movl    $0x11111111, low_mark
        shutdown 0x0a, by_triple_fault
        movl    %cr0, %eax
        testb   $1, %al
        check   z, "triple fault: real mode again"
        cmpl    $0xdeadbeef, low_mark
        check   e, "triple fault: memory is kept"
        call    high_mark
        cmpl    $0xcafe0003, %eax
        check   e, "triple fault: above 1 MiB too"

        movw    0x46c, %si                      # interrupts still work: ticks come, and the floppy reads
        movw    $0xffff, %cx
1:      hlt
        cmpw    0x46c, %si
        loope   1b
        check   ne, "ticks come"
        movw    $0x0201, %ax
        movw    $0xc000, %bx
        movw    $1, %cx
        movb    $0, %dh
        movb    boot_drive, %dl
        int     $0x13
        check   nc, "the floppy is read"
        cmpw    $0xaa55, 0xc1fe
        check   e, "its boot sector is there"
        ret

returned:                                       # from the BIOS, which leaves only CS and IP as they shall be
        popw    %bx
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    stack, %sp
        cld
        sti
        jmp     *%bx

high_mark:                                      # EAX: what stands at MARK
        cli
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $0x10, %bx
        movw    %bx, %fs
        andb    $0xfe, %al
        movl    %eax, %cr0
        movl    $MARK, %ebx
        movl    %fs:(%ebx), %eax
        xorw    %bx, %bx
        movw    %bx, %fs
        sti
        ret

        .code32
by_8042:
        call    marks
        movl    $0xcafe0001, MARK
1:      inb     $0x64, %al
        testb   $2, %al                         # input buffer full
        jnz     1b
        movb    $0xfe, %al
        outb    %al, $0x64
        hlt

by_port_92:
        call    marks
        movl    $0xcafe0002, MARK
        inb     $0x92, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        orb     $1, %al
        outb    %al, $0x92
        hlt

by_triple_fault:
        call    marks
        movl    $0xcafe0003, MARK
        lidt    no_gates
        int3

marks:  movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0xdeadbeef, low_mark
        ret

low_mark:
        .long   0
stack:  .word   0
no_gates:
        .word   0
        .long   0
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff              # 8: flat code
        .quad   0x00cf93000000ffff              # 10h: flat data
gdt_size:
        .word   gdt_size - gdt - 1
        .long   gdt
