# A PS/2 mouse with a wheel, driven without the BIOS: knocked awake by polling, then followed by IRQ 12.
#
# Each report is a line on the screen: "x=.... y=.... w=.. b=..", hexadecimal: how far the mouse has moved since the start,
# to the right and downwards, how far its wheel has turned towards the user, and the buttons that are down. The middle button
# ends the program.

        .include "sixteen.inc"

        .set    DATA, 0x60
        .set    STATUS, 0x64
        .set    MASTER_MASK, 0x21
        .set    SLAVE_MASK, 0xa1
        .set    IRQ12_VECTOR, 0x74

main:   movb    $1, on_screen
        cli
        movb    $0xa8, %al                      # the auxiliary interface on
        call    tell
        movb    $0x20, %al                      # its interrupt on
        call    tell
        call    listen
        orb     $0x02, %al
        andb    $0xdf, %al
        movb    %al, %ah
        movb    $0x60, %al
        call    tell
        call    await_input_empty
        movb    %ah, %al
        outb    %al, $DATA

        movb    $0xf6, %al
        call    command
        cmpb    $0xfa, %al
        check   e, "mouse F6: acknowledged"
        movw    $knock, %si
1:      lodsb
        testb   %al, %al
        jz      2f
        call    command
        jmp     1b
2:      movb    $0xf2, %al
        call    command
        call    listen
        cmpb    $3, %al
        check   e, "mouse F2: it has a wheel"
        movb    $0xf4, %al
        call    command
        cmpb    $0xfa, %al
        check   e, "mouse F4: acknowledged"

        movw    $irq12, IRQ12_VECTOR * 4
        movw    $0, IRQ12_VECTOR * 4 + 2
        inb     $MASTER_MASK, %al
        andb    $0xfb, %al                      # the cascade
        outb    %al, $MASTER_MASK
        inb     $SLAVE_MASK, %al
        andb    $0xef, %al
        outb    %al, $SLAVE_MASK
        sti
        nop
        cmpb    $0, requests                    # bytes that were polled for have left none behind
        check   e, "IRQ 12: none for what was read before"
        movw    $ready, %si
        call    print

3:      cli
        cmpb    $4, count
        je      4f
        sti
        hlt
        jmp     3b
4:      movb    $0, count
        movb    packet, %cl                     # CL: buttons, signs (PS/2 Technical Reference, "Mouse", data report)
        movzbw  packet + 1, %ax
        testb   $0x10, %cl
        jz      5f
        movb    $0xff, %ah
5:      addw    %ax, moved_x
        movzbw  packet + 2, %ax
        testb   $0x20, %cl
        jz      6f
        movb    $0xff, %ah
6:      subw    %ax, moved_y
        movb    packet + 3, %al
        addb    %al, turned
        sti
        movw    $text_x, %si
        call    print
        movw    moved_x, %ax
        call    put_hex16
        movw    $text_y, %si
        call    print
        movw    moved_y, %ax
        call    put_hex16
        movw    $text_w, %si
        call    print
        movb    turned, %al
        call    put_hex8
        movw    $text_b, %si
        call    print
        movb    %cl, %al
        andb    $7, %al
        call    put_hex8
        movw    $line_end, %si
        call    print
        testb   $4, %cl
        jz      3b
        ret

irq12:  incb    requests
        pushw   %ax
        pushw   %bx
        inb     $STATUS, %al
        testb   $0x20, %al
        jz      1f
        inb     $DATA, %al
        movzbw  count, %bx
        cmpb    $4, %bl
        jae     1f
        movb    %al, packet(%bx)
        incb    count
        cmpb    $0, %bl                         # bit 3 of the first byte is always set
        jne     1f
        testb   $8, %al
        jnz     1f
        movb    $0, count
1:      movb    $0x20, %al
        outb    %al, $0xa0
        outb    %al, $0x20
        popw    %bx
        popw    %ax
        iret

await_input_empty:
        pushw   %ax
1:      inb     $STATUS, %al
        testb   $2, %al
        jnz     1b
        popw    %ax
        ret

tell:   call    await_input_empty               # AL as a command of the controller
        outb    %al, $STATUS
        ret

listen: inb     $STATUS, %al                    # the next byte
        testb   $1, %al
        jz      listen
        inb     $DATA, %al
        ret

command:                                        # AL to the mouse; AL: its answer
        pushw   %ax
        movb    $0xd4, %al
        call    tell
        popw    %ax
        call    await_input_empty
        outb    %al, $DATA
        jmp     listen

knock:          .byte   0xf3, 200, 0xf3, 100, 0xf3, 80, 0
ready:          .asciz  "move the mouse\r\n"
text_x:         .asciz  "x="
text_y:         .asciz  " y="
text_w:         .asciz  " w="
text_b:         .asciz  " b="
moved_x:        .word   0
moved_y:        .word   0
turned:         .byte   0
count:          .byte   0
requests:       .byte   0
packet:         .space  4
