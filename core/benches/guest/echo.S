# A boot sector that answers keys with a dot: how soon is a change on the screen published?
#
# It chooses 1024 by 768 dots of 32 bits, and then counts the keys that go down in the first dot.
# Space makes it draw all lines but the first, again and again, and makes it rest again.

        .code16
        .set    MODE_INFO, 0x0800               # VBE 3.0, function 01h, ModeInfoBlock
        .set    RESOLUTION, MODE_INFO + 0x12
        .set    BITS_PER_PIXEL, MODE_INFO + 0x19
        .set    FRAME_BUFFER, MODE_INFO + 0x28
        .set    LINE_BYTES, 4096
        .set    SPACE, 0x39
        .globl  _start

_start: xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        ljmp    $0, $1f
1:      movw    $0x0100, %cx                    # modes from 100h on: the one that we want
2:      movw    $0x4f01, %ax
        movw    $MODE_INFO, %di
        int     $0x10
        cmpl    $768 << 16 | 1024, RESOLUTION
        jne     3f
        cmpb    $32, BITS_PER_PIXEL
        je      4f
3:      incw    %cx
        jmp     2b
4:      movw    %cx, %bx
        orb     $0x40, %bh                      # linear
        movw    $0x4f02, %ax
        int     $0x10

        # Unreal: FS keeps the limit that protected mode gives it. The BIOS is not asked again.
        cli
        movb    $0xfd, %al                      # only the keyboard interrupts
        outb    %al, $0x21
        movw    $key, 9 * 4
        movw    $0, 9 * 4 + 2
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $8, %bx
        movw    %bx, %es
        andb    $0xfe, %al
        movl    %eax, %cr0
        movl    FRAME_BUFFER, %ebp
        movl    $0, %es:(%ebp)
        cld
        sti

rest:   hlt
draw:   cmpb    $0, busy
        je      rest
        leal    LINE_BYTES(%ebp), %edi
        movl    $LINE_BYTES / 4 * 767, %ecx
        addl    $0x010305, colour
        movl    colour, %eax
        rep stosl %eax, %es:(%edi)
        jmp     draw

key:    pushw   %ax
        inb     $0x60, %al
        testb   $0x80, %al
        jnz     2f
        cmpb    $SPACE, %al
        jne     1f
        xorb    $1, busy
1:      incl    %es:(%ebp)
2:      movb    $0x20, %al
        outb    %al, $0x20
        popw    %ax
        iret

        .balign 4
gdt:    .quad   0
        .quad   0x00cf92000000ffff              # data, 4 GiB
gdt_size: .word gdt_size - gdt - 1
        .long   gdt
colour: .long   0
busy:   .byte   0

        .org    510
        .word   0xaa55
