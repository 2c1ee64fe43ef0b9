# Mode X: 320 by 240 dots in 256 colours, unchained, with two pages, a split screen and panning by a dot.
#
# The DAC's colours are those of mode13.S. Page 0 begins at 0 and has colour (x + y) & 255 at (x, y), page 1 begins at
# 4B00h and has colour (2 x XOR 3 y) & 255. First page 0 is shown, then page 1 from its first line and dot 1 on; from
# dot line 180 on page 0 shows again, without panning.

        .include "sixteen.inc"

        .set    SEQUENCER, 0x3c4
        .set    GRAPHICS, 0x3ce
        .set    CRTC, 0x3d4
        .set    ATTRIBUTE, 0x3c0
        .set    MISC_WRITE, 0x3c2
        .set    STATUS_1, 0x3da
        .set    PAGE_1, 0x4b00                  # 320 / 4 x 240
        .set    ROW_BYTES, 80
        .set    SPLIT_LINE, 359                 # the last scan line of 180 dot lines

main:   movw    $0x0013, %ax
        int     $0x10
        indexed SEQUENCER, 4, 0x06              # memory mode: no chain 4, no odd/even
        indexed SEQUENCER, 0, 0x01              # reset while the clock changes
        movw    $MISC_WRITE, %dx
        movb    $0xe3, %al                      # 25 MHz, both syncs negative: 480 lines
        outb    %al, %dx
        indexed SEQUENCER, 0, 0x03
        movw    $CRTC, %dx
        movb    $0x11, %al
        outb    %al, %dx
        incw    %dx
        inb     %dx, %al
        andb    $0x7f, %al                      # no write protection of registers 0 to 7
        outb    %al, %dx
        decw    %dx
        movw    $crtc_values, %si
        movw    $(crtc_values_end - crtc_values) / 2, %cx
1:      lodsw
        outw    %ax, %dx
        loop    1b

        movw    $0x03c8, %dx
        xorw    %ax, %ax
        outb    %al, %dx
        incw    %dx
        xorw    %cx, %cx
2:      movb    %cl, %al
        andb    $63, %al
        movb    %al, %bl
        outb    %al, %dx
        movb    %cl, %al
        shrb    $2, %al
        outb    %al, %dx
        movb    $63, %al
        subb    %bl, %al
        outb    %al, %dx
        incb    %cl
        jnz     2b

        movw    $0xa000, %ax
        movw    %ax, %es
        xorw    %bp, %bp                        # BP: plane
3:      movw    $SEQUENCER, %dx
        movw    %bp, %cx
        movw    $0x0102, %ax
        shlb    %cl, %ah
        outw    %ax, %dx                        # map mask
        movw    $GRAPHICS, %dx
        movw    %bp, %ax
        movb    %al, %ah
        movb    $4, %al
        outw    %ax, %dx                        # read map select
        xorw    %di, %di
        xorw    %dx, %dx                        # DX: y
4:      movw    %bp, %cx                        # CX: x
5:      movw    %cx, %ax
        addw    %dx, %ax
        movb    %al, %es:(%di)
        movw    %dx, %ax
        addw    %ax, %ax
        addw    %dx, %ax
        movw    %cx, %bx
        addw    %bx, %bx
        xorw    %bx, %ax
        movb    %al, %es:PAGE_1(%di)
        incw    %di
        addw    $4, %cx
        cmpw    $320, %cx
        jb      5b
        incw    %dx
        cmpw    $240, %dx
        jb      4b
        incw    %bp
        cmpw    $4, %bp
        jb      3b

        indexed GRAPHICS, 4, 2                  # plane 2 of page 0: dot (2, 1) at one row's bytes
        cmpb    $3, %es:ROW_BYTES
        check   e, "plane 2 reads back"
        indexed GRAPHICS, 4, 1
        cmpb    $(2 * 1) ^ 3, %es:PAGE_1 + ROW_BYTES
        check   e, "plane 1 reads back"

        # Latched copies: write mode 1 copies four dots a byte, of all planes at once.
        indexed SEQUENCER, 2, 0x0f
        indexed GRAPHICS, 5, 0x41
        movb    %es:ROW_BYTES, %al
        movb    %al, %es:0xffff
        indexed GRAPHICS, 5, 0x40
        indexed GRAPHICS, 4, 3
        cmpb    $3 + 1, %es:0xffff
        check   e, "write mode 1 copies plane 3"

        # The page flip: the start address is taken over in the vertical retrace.
        call    wait_retrace
        indexed CRTC, 0x0c, PAGE_1 >> 8
        indexed CRTC, 0x0d, PAGE_1 & 255
        call    wait_retrace
        check   z, "two retraces came"

        indexed CRTC, 0x18, SPLIT_LINE & 255    # bit 8 is set in the overflow register, bit 9 cleared, both above
        movw    $STATUS_1, %dx
        inb     %dx, %al                        # the attribute controller takes an index next
        movw    $ATTRIBUTE, %dx
        movb    $0x30, %al                      # mode control, the screen stays on
        outb    %al, %dx
        movb    $0x61, %al                      # 256 colours, no panning below the split, graphics
        outb    %al, %dx
        movb    $0x33, %al                      # panning
        outb    %al, %dx
        movb    $2, %al                         # one dot of 256 colours
        outb    %al, %dx
        movb    $0x33, %al
        outb    %al, %dx
        incw    %dx                             # read at the port behind
        inb     %dx, %al
        cmpb    $2, %al
        check   e, "the panning reads back"
        movw    $STATUS_1, %dx
        inb     %dx, %al
        ret

wait_retrace:                                   # until the next vertical retrace begins; ZF set, or clear: none came
        movw    $STATUS_1, %dx
        movl    $1000000, %ecx
1:      inb     %dx, %al
        testb   $8, %al
        jz      2f
        decl    %ecx
        jnz     1b
        jmp     4f
2:      inb     %dx, %al
        testb   $8, %al
        jnz     3f
        decl    %ecx
        jnz     2b
4:      orb     $1, %al
        ret
3:      xorb    %al, %al
        ret

# Vertical timing of 480 lines, byte addresses (IBM VGA, mode 12h's vertical values; line compare bit 8 in the overflow).
crtc_values:
        .byte   0x06, 0x0d                      # vertical total
        .byte   0x07, 0x3e                      # overflow
        .byte   0x09, 0x01                      # two scan lines a dot, line compare bit 9 clear
        .byte   0x10, 0xea, 0x11, 0xac          # retrace start, end
        .byte   0x12, 0xdf                      # display end
        .byte   0x14, 0x00                      # no double words
        .byte   0x15, 0xe7, 0x16, 0x06          # blanking
        .byte   0x17, 0xe3                      # bytes
        .byte   0x18, 0xff
crtc_values_end:
