# Mode 12h: 640 by 480 dots in 16 colours, through all four write modes, set/reset, rotation, logic and bit mask.
#
# DAC colour n is (4 n, 63 - 4 n, n x n / 4) of 63, and the attribute controller hands 0 to 15 on unchanged.
# Bytes are counted by 8 dots, so that byte column 1 is dots 8 to 15. In this order:
#   1. everything in colour 1 (write mode 0, set/reset);
#   2. dots 13 to 106 of lines 10 to 59 in colour 12 (write mode 2, bit masks at the edges);
#   3. byte columns 8 to 29 of lines 40 to 99: colour XOR 5 (write mode 0, XOR, map mask 5);
#   4. byte columns 4 to 11 of lines 110 to 139: colour OR 2 at the dots of C3h (0Fh rotated by 2);
#   5. byte columns 8 to 15 of lines 120 to 149: colour AND NOT 1 at the dots of 0Fh (map mask 1, data F0h);
#   6. byte columns 0 to 39 of lines 0 to 159 copied to column 40, line 200 (write mode 1);
#   7. byte columns 5 to 74 of lines 400 to 447: colour 14 at the dots of 7Eh AND (80h >> (line & 7) OR 18h) (write mode 3).

        .include "sixteen.inc"

        .set    SEQUENCER, 0x3c4
        .set    GRAPHICS, 0x3ce
        .set    ATTRIBUTE, 0x3c0
        .set    STATUS_1, 0x3da
        .set    ROW_BYTES, 80

# Run \body for each of the lines \first to \last with DI at byte \column of the line and DX the line.
        .macro  lines first:req, last:req, column:req, body:req
        movw    $\first, %dx
        movw    $\first * ROW_BYTES + \column, %di
1:      pushw   %di
        pushw   %dx
        call    \body
        popw    %dx
        popw    %di
        addw    $ROW_BYTES, %di
        incw    %dx
        cmpw    $\last, %dx
        jbe     1b
        .endm

main:   movw    $0x0012, %ax
        int     $0x10
        call    set_colours
        movw    $0xa000, %ax
        movw    %ax, %es

        # 1
        indexed GRAPHICS, 0, 1                  # set/reset
        indexed GRAPHICS, 1, 0x0f               # enable set/reset
        xorw    %di, %di
        movw    $480 * ROW_BYTES / 2, %cx
        movw    $0x55aa, %ax                    # what the processor writes does not matter
        rep stosw
        indexed GRAPHICS, 1, 0
        indexed GRAPHICS, 4, 0
        cmpb    $0xff, %es:479 * ROW_BYTES + 79
        check   e, "plane 0 is full"
        indexed GRAPHICS, 4, 1
        cmpb    $0, %es:479 * ROW_BYTES + 79
        check   e, "plane 1 is empty"

        # 2
        indexed GRAPHICS, 5, 2
        lines   10, 59, 1, edges
        indexed GRAPHICS, 8, 0xff
        indexed GRAPHICS, 5, 8                  # read mode 1: which dots have this colour
        indexed GRAPHICS, 2, 12                 # colour compare
        indexed GRAPHICS, 7, 0x0f               # all planes count
        cmpb    $0x07, %es:10 * ROW_BYTES + 1
        check   e, "colour compare finds the left edge"
        cmpb    $0xe0, %es:59 * ROW_BYTES + 13
        check   e, "colour compare finds the right edge"
        indexed GRAPHICS, 2, 0
        indexed GRAPHICS, 7, 0x02               # only plane 1 counts, and it is empty
        cmpb    $0xff, %es:10 * ROW_BYTES + 1
        check   e, "colour compare without three planes"

        # 3
        indexed GRAPHICS, 5, 0
        indexed GRAPHICS, 3, 0x18               # XOR
        indexed SEQUENCER, 2, 5
        lines   40, 99, 8, xor_line

        # 4
        indexed GRAPHICS, 3, 0x12               # OR, rotated by 2
        indexed SEQUENCER, 2, 2
        lines   110, 139, 4, or_line

        # 5
        indexed GRAPHICS, 3, 0x08               # AND
        indexed SEQUENCER, 2, 1
        lines   120, 149, 8, and_line
        indexed GRAPHICS, 3, 0
        indexed SEQUENCER, 2, 0x0f

        # 6
        indexed GRAPHICS, 5, 1
        lines   200, 359, 40, copy_line

        # 7
        indexed GRAPHICS, 5, 3
        indexed GRAPHICS, 0, 14
        indexed GRAPHICS, 8, 0x7e
        lines   400, 447, 5, mask_line
        indexed GRAPHICS, 5, 0
        indexed GRAPHICS, 8, 0xff

        movw    $GRAPHICS, %dx
        movb    $5, %al
        outb    %al, %dx
        incw    %dx
        inb     %dx, %al
        testb   $0x0b, %al
        check   z, "the graphics mode reads back"
        ret

edges:  movb    $0x07, %cl                      # dots 13 to 15
        call    colour_byte
        movb    $0xff, %cl
        movw    $11, %bx                        # bytes 2 to 12
1:      call    colour_byte
        decw    %bx
        jnz     1b
        movb    $0xe0, %cl                      # dots 104 to 106
colour_byte:                                    # bit mask CL, colour 12 at ES:DI; goes on a byte
        movw    $GRAPHICS, %dx
        movb    $8, %al
        movb    %cl, %ah
        outw    %ax, %dx
        movb    %es:(%di), %al                  # into the latches
        movb    $12, %al
        stosb
        ret

xor_line:
        movb    $0xff, %al
        movw    $22, %cx
        jmp     latched
or_line:
        movb    $0x0f, %al
        movw    $8, %cx
        jmp     latched
and_line:
        movb    $0xf0, %al
        movw    $8, %cx
latched:                                        # AL to CX bytes, each with its latches
1:      movb    %es:(%di), %ah
        stosb
        loop    1b
        ret

copy_line:
        movw    %di, %si
        subw    $200 * ROW_BYTES + 40, %si
        pushw   %ds
        pushw   %es
        popw    %ds
        movw    $40, %cx
        rep movsb
        popw    %ds
        ret

mask_line:
        movb    %dl, %cl
        andb    $7, %cl
        movb    $0x80, %al
        shrb    %cl, %al
        orb     $0x18, %al
        movw    $70, %cx
        jmp     latched

set_colours:
        movw    $STATUS_1, %dx
        inb     %dx, %al
        movw    $ATTRIBUTE, %dx
        xorw    %cx, %cx
1:      movb    %cl, %al
        outb    %al, %dx
        outb    %al, %dx                        # colour n is n
        incb    %cl
        cmpb    $16, %cl
        jb      1b
        movb    $0x34, %al                      # colour select, and the screen on again
        outb    %al, %dx
        xorb    %al, %al
        outb    %al, %dx
        movw    $0x03c8, %dx
        outb    %al, %dx
        incw    %dx
        xorw    %cx, %cx
2:      movb    %cl, %al
        shlb    $2, %al
        outb    %al, %dx
        negb    %al
        addb    $63, %al
        outb    %al, %dx
        movb    %cl, %al
        mulb    %cl
        shrw    $2, %ax
        outb    %al, %dx
        incb    %cl
        cmpb    $16, %cl
        jb      2b
        ret
