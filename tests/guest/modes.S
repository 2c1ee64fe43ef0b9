# The BIOS's older modes, one a run: byte 508 of the boot sector says which.
#
# 03h: 80 by 50 characters of a font of our own. Line r of character c is (7 c + 31 r) & 255; the character in column x,
#      row y is (x + 3 y) & 255 in attribute (5 x + y) & 255, all sixteen backgrounds, no cursor.
# 04h, 06h: in memory at B8000h, even lines in front of the odd ones; byte b of line y is (3 b + 5 y) & 255.
# 0Dh, 0Eh, 10h: by INT 10h 0Ch, dots 40 to 295 of lines 50 to 177 in colour (x / 2 + y) & 15, and dots 48 to 79 of lines
#      60 to 91 then XOR 5.

        .include "sixteen.inc"

main:   movzbw  mode, %ax
        int     $0x10
        movb    $0x0f, %ah
        int     $0x10
        cmpb    mode, %al
        check   e, "the BIOS says the mode"
        movw    $0xb800, %ax
        movw    %ax, %es
        cmpb    $0x03, mode
        je      text
        cmpb    $0x06, mode
        jbe     interleaved

        movw    $50, %dx                        # 16 colours; DX: y
1:      movw    $40, %cx                        # CX: x
2:      movw    %cx, %ax
        shrw    $1, %ax
        addw    %dx, %ax
        andw    $0x0f, %ax
        movb    $0x0c, %ah
        movb    $0, %bh
        int     $0x10
        incw    %cx
        cmpw    $296, %cx
        jb      2b
        incw    %dx
        cmpw    $178, %dx
        jb      1b
        movw    $60, %dx
3:      movw    $48, %cx
4:      movw    $0x0c85, %ax
        movb    $0, %bh
        int     $0x10
        incw    %cx
        cmpw    $80, %cx
        jb      4b
        incw    %dx
        cmpw    $92, %dx
        jb      3b
        movw    $0x0d00, %ax
        movb    $0, %bh
        movw    $79, %cx
        movw    $91, %dx
        int     $0x10
        cmpb    $(79 / 2 + 91) & 15 ^ 5, %al
        check   e, "INT 10h 0D: a dot reads back"
        ret

interleaved:
        xorw    %dx, %dx                        # DX: y
1:      movw    %dx, %ax
        shrw    $1, %ax
        movw    $80, %cx
        pushw   %dx
        mulw    %cx
        popw    %dx
        testb   $1, %dl
        jz      2f
        addw    $0x2000, %ax
2:      movw    %ax, %di
        movw    %dx, %ax
        shlw    $2, %ax
        addw    %dx, %ax
3:      stosb
        addb    $3, %al
        loop    3b
        incw    %dx
        cmpw    $200, %dx
        jb      1b
        movw    $0x0d00, %ax
        movb    $0, %bh
        movw    $1, %cx
        movw    $3, %dx
        int     $0x10
        cmpb    $0, %al                         # line 3 begins with 0Fh
        check   e, "INT 10h 0D: a dot of an odd line reads back"
        ret

text:   movw    $0x9000, %ax
        movw    %ax, %es
        xorw    %di, %di
        xorw    %dx, %dx                        # DL: character
1:      movb    $7, %al
        mulb    %dl
        movw    $8, %cx
2:      stosb
        addb    $31, %al
        loop    2b
        incb    %dl
        jnz     1b
        movw    $0x1110, %ax                    # the user's font, and as many rows as fit
        movw    $0x0800, %bx
        movw    $256, %cx
        xorw    %dx, %dx
        xorw    %bp, %bp
        int     $0x10
        movw    $0x1003, %ax                    # bright backgrounds instead of blinking
        xorw    %bx, %bx
        int     $0x10
        movb    $0x01, %ah
        movw    $0x2000, %cx
        int     $0x10
        cmpb    $49, 0x484
        check   e, "INT 10h 1110: 50 rows"
        cmpw    $8, 0x485
        check   e, "INT 10h 1110: of 8 lines"

        movw    $0xb800, %ax
        movw    %ax, %es
        xorw    %di, %di
        xorw    %dx, %dx                        # DL: y
3:      xorw    %cx, %cx                        # CL: x
4:      movb    %dl, %al
        addb    %al, %al
        addb    %dl, %al
        addb    %cl, %al
        movb    %cl, %ah
        shlb    $2, %ah
        addb    %cl, %ah
        addb    %dl, %ah
        stosw
        incb    %cl
        cmpb    $80, %cl
        jb      4b
        incb    %dl
        cmpb    $50, %dl
        jb      3b
        ret
