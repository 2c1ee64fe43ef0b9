# Modes set without a BIOS, by tables of every register, as systems do that have left real mode behind. Byte 508 of the boot
# sector says which (below, in order). The values are those that such systems copy from each other (Chris Giese, modes.c, 1996).
#
# Colour n of the DAC is (n & 63, n / 4, 63 - (n & 63)).
# Text: line r of character c is (7 c + 31 r) & 255; the character in column x, row y is (x + 3 y) & 255 in attribute
#       (5 x + y) & 255; the cursor stands where the table says.
# Graphics: byte b of line y is (3 b + 5 y) & 255, in plane p of four 77 p more; of 256 colours, pixel x of line y is
#       (x XOR 3 y) & 255.

        .include "sixteen.inc"

        .set    CRTC, 0x3d4
        .set    SEQUENCER, 0x3c4
        .set    GRAPHICS, 0x3ce
        .set    ATTRIBUTE, 0x3c0
        .set    STATUS_1, 0x3da

        # Where things stand in a table.
        .set    ACROSS, 1                       # characters, bytes, or pixels of one plane
        .set    DOWN, 2                         # rows or lines
        .set    REGISTERS, 4
        .set    CRTC_OF_TABLE, REGISTERS + 6
        .set    GRAPHICS_OF_TABLE, CRTC_OF_TABLE + 25
        .set    TABLE_BYTES, 65

main:   movzbw  mode, %ax
        imulw   $TABLE_BYTES, %ax
        addw    $tables, %ax
        movw    %ax, table

        movw    table, %si
        addw    $REGISTERS, %si
        movw    $0x3c2, %dx
        lodsb
        outb    %al, %dx
        movw    $SEQUENCER, %dx
        movw    $5, %cx
        call    write_registers
        movw    $CRTC, %dx                      # registers 0 to 7 are protected until bit 7 of 11h goes
        movb    $0x11, %al
        outb    %al, %dx
        incw    %dx
        inb     %dx, %al
        andb    $0x7f, %al
        outb    %al, %dx
        decw    %dx
        movw    $25, %cx
        call    write_registers
        movw    $GRAPHICS, %dx
        movw    $9, %cx
        call    write_registers
        movb    $0, %bl
1:      movw    $STATUS_1, %dx
        inb     %dx, %al
        movw    $ATTRIBUTE, %dx
        movb    %bl, %al
        outb    %al, %dx
        lodsb
        outb    %al, %dx
        incb    %bl
        cmpb    $21, %bl
        jb      1b
        movw    $STATUS_1, %dx
        inb     %dx, %al
        movw    $ATTRIBUTE, %dx
        movb    $0x20, %al
        outb    %al, %dx

        movw    table, %si
        addw    $REGISTERS, %si
        movw    $0x3cc, %dx
        inb     %dx, %al
        cmpb    (%si), %al
        check   e, "miscellaneous output reads back"
        incw    %si
        movw    $SEQUENCER, %dx
        movw    $5, %cx
        call    compare_registers
        check   e, "the sequencer's registers read back"
        movw    $CRTC, %dx
        movw    $25, %cx
        call    compare_registers
        check   e, "the CRTC's registers read back"
        movw    $GRAPHICS, %dx
        movw    $9, %cx
        call    compare_registers
        check   e, "the graphics controller's registers read back"

        movw    $0x3c8, %dx
        xorw    %ax, %ax
        outb    %al, %dx
        incw    %dx
        movb    $0, %bl
2:      movb    %bl, %al
        andb    $63, %al
        movb    %al, %ah
        outb    %al, %dx
        movb    %bl, %al
        shrb    $2, %al
        outb    %al, %dx
        movb    $63, %al
        subb    %ah, %al
        outb    %al, %dx
        incb    %bl
        jnz     2b

        movw    table, %si
        movw    GRAPHICS_OF_TABLE + 6(%si), %bx
        andw    $0x0c, %bx                      # the window of miscellaneous graphics, bits 3-2
        shrw    $1, %bx
        movw    windows(%bx), %es
        movzbw  ACROSS(%si), %ax
        movw    %ax, across
        movw    DOWN(%si), %ax
        movw    %ax, down
        movzbw  (%si), %bx
        addw    %bx, %bx
        call    *drawers(%bx)
        xorw    %ax, %ax
        movw    %ax, %es
        ret

windows:        .word   0xa000, 0xa000, 0xb000, 0xb800
drawers:        .word   draw_text, draw_bytes, draw_planes, draw_chained, draw_unchained

write_registers:                                # CX registers of the device at DX from SI on
        movb    $0, %bl
1:      movb    %bl, %al
        movb    (%si), %ah
        outw    %ax, %dx
        incw    %si
        incb    %bl
        loop    1b
        ret

compare_registers:                              # the same; ZF while all are equal
        movb    $0, %bl
1:      movb    %bl, %al
        outb    %al, %dx
        incw    %dx
        inb     %dx, %al
        decw    %dx
        cmpb    (%si), %al
        jne     2f
        incw    %si
        incb    %bl
        loop    1b
        cmpb    %al, %al
2:      ret

draw_text:
        indexed SEQUENCER, 2, 0x04              # the font, in plane 2: no odd and even addresses
        indexed SEQUENCER, 4, 0x06
        indexed GRAPHICS, 4, 0x02
        indexed GRAPHICS, 5, 0x00
        indexed GRAPHICS, 6, 0x0c
        movzbw  CRTC_OF_TABLE + 9(%si), %cx
        andw    $0x1f, %cx
        incw    %cx                             # lines of a character
        xorw    %bx, %bx                        # BX: character
1:      movw    %bx, %di
        shlw    $5, %di
        imulw   $7, %bx, %ax
        pushw   %cx
2:      stosb
        addb    $31, %al
        loop    2b
        popw    %cx
        incw    %bx
        cmpw    $256, %bx
        jb      1b
        indexed SEQUENCER, 2, 0x03
        indexed SEQUENCER, 4, 0x02
        indexed GRAPHICS, 4, 0x00
        indexed GRAPHICS, 5, 0x10
        indexed GRAPHICS, 6, 0x0e
        xorw    %di, %di
        xorw    %dx, %dx                        # DX: row
3:      imulw   $3, %dx, %ax
        movb    %dl, %ah
        movw    across, %cx
4:      stosw
        incb    %al
        addb    $5, %ah
        loop    4b
        incw    %dx
        cmpw    down, %dx
        jb      3b
        ret

draw_bytes:
        movb    $0, %bl
draw_plane:                                     # BL: what is added
        xorw    %di, %di
        xorw    %dx, %dx
1:      imulw   $5, %dx, %ax
        addb    %bl, %al
        movw    across, %cx
2:      stosb
        addb    $3, %al
        loop    2b
        incw    %dx
        cmpw    down, %dx
        jb      1b
        ret

draw_planes:
        movb    $0, %bl
        movb    $1, %bh                         # BH: the plane's bit
1:      movw    $SEQUENCER, %dx
        movb    $2, %al
        movb    %bh, %ah
        outw    %ax, %dx
        call    draw_plane
        addb    $77, %bl
        shlb    $1, %bh
        cmpb    $0x10, %bh
        jb      1b
        ret

draw_chained:
        movw    $1, step
        movw    $320, across
        xorw    %bx, %bx
        jmp     draw_pixels

draw_unchained:
        movw    $4, step
        xorw    %bx, %bx                        # BX: plane
1:      movb    %bl, %cl
        movb    $1, %ah
        shlb    %cl, %ah
        movb    $2, %al
        movw    $SEQUENCER, %dx
        outw    %ax, %dx
        call    draw_pixels
        incw    %bx
        cmpw    $4, %bx
        jb      1b
        ret

draw_pixels:                                    # pixels BX, BX + step ... of each line
        xorw    %di, %di
        xorw    %dx, %dx
1:      movw    across, %cx
        movw    %bx, %bp
        pushw   %bx
        imulw   $3, %dx, %bx
2:      movw    %bp, %ax
        xorb    %bl, %al
        stosb
        addw    step, %bp
        loop    2b
        popw    %bx
        incw    %dx
        cmpw    down, %dx
        jb      1b
        ret

table:  .word   0
across: .word   0
down:   .word   0
step:   .word   0

        # Kind (as in drawers), across, down; miscellaneous output, sequencer 0-4.
        .macro  table_of kind:req, across:req, down:req, registers:vararg
        .byte   \kind, \across
        .word   \down
        .byte   \registers
        .endm

        # Rows of the tables that several modes share.
        .macro  text_graphics
        .byte   0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff
        .endm
        .macro  ega_palette
        .byte   0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
        .endm
        .macro  plain_palette
        .byte   0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f
        .endm

tables: table_of 0, 40, 25, 0x67, 0x03, 0x08, 0x03, 0x00, 0x02           # 0: 40 by 25 characters
        .byte   0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0xa0
        .byte   0x9c, 0x0e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff
        text_graphics
        ega_palette
        .byte   0x0c, 0x00, 0x0f, 0x08, 0x00
        table_of 0, 40, 50, 0x67, 0x03, 0x08, 0x03, 0x00, 0x02           # 1: 40 by 50
        .byte   0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x47, 0x06, 0x07, 0x00, 0x00, 0x04, 0x60
        .byte   0x9c, 0x0e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff
        text_graphics
        ega_palette
        .byte   0x0c, 0x00, 0x0f, 0x08, 0x00
        table_of 0, 80, 25, 0x67, 0x03, 0x00, 0x03, 0x00, 0x02           # 2: 80 by 25
        .byte   0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x50
        .byte   0x9c, 0x0e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff
        text_graphics
        ega_palette
        .byte   0x0c, 0x00, 0x0f, 0x08, 0x00
        table_of 0, 80, 50, 0x67, 0x03, 0x00, 0x03, 0x00, 0x02           # 3: 80 by 50
        .byte   0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x47, 0x06, 0x07, 0x00, 0x00, 0x01, 0x40
        .byte   0x9c, 0x0e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff
        text_graphics
        ega_palette
        .byte   0x0c, 0x00, 0x0f, 0x08, 0x00
        table_of 0, 90, 30, 0xe7, 0x03, 0x01, 0x03, 0x00, 0x02           # 4: 90 by 30
        .byte   0x6b, 0x59, 0x5a, 0x82, 0x60, 0x8d, 0x0b, 0x3e, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00
        .byte   0xea, 0x0c, 0xdf, 0x2d, 0x10, 0xe8, 0x05, 0xa3, 0xff
        text_graphics
        ega_palette
        .byte   0x0c, 0x00, 0x0f, 0x08, 0x00
        table_of 0, 90, 60, 0xe7, 0x03, 0x01, 0x03, 0x00, 0x02           # 5: 90 by 60
        .byte   0x6b, 0x59, 0x5a, 0x82, 0x60, 0x8d, 0x0b, 0x3e, 0x00, 0x47, 0x06, 0x07, 0x00, 0x00, 0x00, 0x00
        .byte   0xea, 0x0c, 0xdf, 0x2d, 0x08, 0xe8, 0x05, 0xa3, 0xff
        text_graphics
        ega_palette
        .byte   0x0c, 0x00, 0x0f, 0x08, 0x00
        table_of 1, 80, 480, 0xe3, 0x03, 0x01, 0x0f, 0x00, 0x06          # 6: 640 by 480 pixels of 2 colours
        .byte   0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
        .byte   0xea, 0x0c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff
        .byte   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff
        ega_palette
        .byte   0x01, 0x00, 0x0f, 0x00, 0x00
        table_of 1, 80, 200, 0x63, 0x03, 0x09, 0x03, 0x00, 0x02          # 7: 320 by 200 of 4, in plain order
        .byte   0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
        .byte   0x9c, 0x0e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa3, 0xff
        .byte   0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x02, 0x00, 0xff
        .byte   0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
        .byte   0x01, 0x00, 0x03, 0x00, 0x00
        table_of 2, 80, 480, 0xe3, 0x03, 0x01, 0x08, 0x00, 0x06          # 8: 640 by 480 of 16
        .byte   0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
        .byte   0xea, 0x0c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff
        .byte   0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x05, 0x0f, 0xff
        ega_palette
        .byte   0x01, 0x00, 0x0f, 0x00, 0x00
        table_of 2, 90, 480, 0xe7, 0x03, 0x01, 0x08, 0x00, 0x06          # 9: 720 by 480 of 16
        .byte   0x6b, 0x59, 0x5a, 0x82, 0x60, 0x8d, 0x0b, 0x3e, 0x00, 0x40, 0x06, 0x07, 0x00, 0x00, 0x00, 0x00
        .byte   0xea, 0x0c, 0xdf, 0x2d, 0x08, 0xe8, 0x05, 0xe3, 0xff
        .byte   0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x05, 0x0f, 0xff
        plain_palette
        .byte   0x01, 0x00, 0x0f, 0x00, 0x00
        table_of 3, 80, 200, 0x63, 0x03, 0x01, 0x0f, 0x00, 0x0e          # 10: 320 by 200 of 256
        .byte   0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
        .byte   0x9c, 0x0e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff
        .byte   0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff
        plain_palette
        .byte   0x41, 0x00, 0x0f, 0x00, 0x00
        table_of 4, 80, 200, 0x63, 0x03, 0x01, 0x0f, 0x00, 0x06          # 11: the same, a plane to every fourth pixel
        .byte   0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
        .byte   0x9c, 0x0e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xe3, 0xff
        .byte   0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff
        plain_palette
        .byte   0x41, 0x00, 0x0f, 0x00, 0x00
