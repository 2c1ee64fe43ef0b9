# Mode 13h: 256 colours through the DAC's ports, drawn in the linear window at A0000h.
#
# Colour n is (n & 63, n / 4, 63 - (n & 63)) of 63; the dot at (x, y) has colour (3 x XOR y) & 255.

        .include "sixteen.inc"

        .set    DAC_READ, 0x3c7
        .set    DAC_WRITE, 0x3c8
        .set    DAC_DATA, 0x3c9

main:   movw    $0x0013, %ax
        int     $0x10
        movb    $0x0f, %ah
        int     $0x10
        cmpb    $0x13, %al
        check   e, "the BIOS says mode 13h"

        movw    $DAC_WRITE, %dx
        xorw    %ax, %ax
        outb    %al, %dx
        incw    %dx
        xorw    %cx, %cx                        # CL: colour
1:      call    components
        outb    %al, %dx
        movb    %ah, %al
        outb    %al, %dx
        movb    %bl, %al
        outb    %al, %dx
        incb    %cl
        jnz     1b

        movw    $DAC_READ, %dx
        movb    $0x80, %al
        outb    %al, %dx
        inb     %dx, %al
        andb    $3, %al
        cmpb    $3, %al
        check   e, "the DAC is in its read state"
        movw    $DAC_DATA, %dx
        movb    $0x80, %cl
        movw    $1, %si                         # 1: no difference so far
2:      call    components
        movb    %al, %bh
        inb     %dx, %al
        cmpb    %bh, %al
        jne     3f
        inb     %dx, %al
        cmpb    %ah, %al
        jne     3f
        inb     %dx, %al
        cmpb    %bl, %al
        jne     3f
        incb    %cl
        jnz     2b
        decw    %si
3:      testw   %si, %si
        check   z, "the DAC gives its upper half back"

        movw    $0xa000, %ax
        movw    %ax, %es
        xorw    %di, %di
        xorw    %dx, %dx                        # DX: y
4:      xorw    %cx, %cx                        # CX: x
5:      movw    %cx, %ax
        addw    %ax, %ax
        addw    %cx, %ax
        xorw    %dx, %ax
        stosb
        incw    %cx
        cmpw    $320, %cx
        jb      5b
        incw    %dx
        cmpw    $200, %dx
        jb      4b
        cmpb    $(319 * 3 & 255) ^ 199, %es:199 * 320 + 319
        check   e, "the last dot reads back"
        ret

components:                                     # of colour CL: AL red, AH green, BL blue
        movb    %cl, %al
        andb    $63, %al
        movb    $63, %bl
        subb    %al, %bl
        movb    %cl, %ah
        shrb    $2, %ah
        ret
