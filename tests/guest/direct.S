# Direct hardware in real mode: the 8259 pair moved to other vectors, the 8254, port 61h, the clock, the 8042, the A20 gate.
#
# It asks for a key by "press a key" on the screen and takes it from IRQ 1. The BIOS is not called any more after that.

        .include "sixteen.inc"

        .set    MASTER_VECTOR, 0x50
        .set    SLAVE_VECTOR, 0x58
        .set    TICKS_A_SECOND, 50
        .set    DIVISOR, 1193182 / TICKS_A_SECOND

# Gate \vector leads to \handler.
        .macro  gate vector:req, handler:req
        movw    $\handler, (\vector) * 4
        movw    $0, (\vector) * 4 + 2
        .endm

# Program one 8259 with its four words (8259A datasheet, "initialization command words").
        .macro  initialize port:req, vector:req, cascade:req
        movb    $0x11, %al
        outb    %al, $\port
        movb    $\vector, %al
        outb    %al, $\port + 1
        movb    $\cascade, %al
        outb    %al, $\port + 1
        movb    $0x01, %al
        outb    %al, $\port + 1
        .endm

main:   movw    $ask, %si
        movb    $1, on_screen
        call    print
        movb    $0, on_screen
        cli
        movw    $16, %cx
        movw    $MASTER_VECTOR * 4, %di
1:      movw    $unexpected, %ax
        stosw
        xorw    %ax, %ax
        stosw
        loop    1b
        gate    MASTER_VECTOR, irq_0
        gate    MASTER_VECTOR + 1, irq_1
        gate    SLAVE_VECTOR, irq_8
        movb    $0xfa, masks                    # IRQ 0 and the cascade
        initialize 0x20, MASTER_VECTOR, 4
        initialize 0xa0, SLAVE_VECTOR, 2
        call    set_masks
        inb     $0x21, %al
        cmpb    masks, %al
        check   e, "8259: the mask reads back"

        call    keyboard_interrupt
        call    controller
        call    gate_a20
        call    timer
        call    speaker
        call    clock
        cmpw    $0, strays
        check   e, "no interrupt came that was not asked for"
        cli
        ret
ask:    .asciz  "press a key\r\n"

set_masks:
        movb    masks, %al
        outb    %al, $0x21
        movb    masks + 1, %al
        outb    %al, $0xa1
        ret

irq_0:  pushw   %ax
        incw    %cs:ticks
        jmp     master_end
irq_1:  pushw   %ax
        pushw   %bx
        inb     $0x60, %al
        movzbw  %cs:codes_count, %bx
        andw    $7, %bx
        movb    %al, %cs:codes(%bx)
        incb    %cs:codes_count
        popw    %bx
        jmp     master_end
irq_8:  pushw   %ax
        movb    $0x0c, %al
        outb    %al, $0x70
        inb     $0x71, %al
        orb     %al, %cs:rtc_flags
        incw    %cs:rtc_count
        movb    $0x20, %al
        outb    %al, $0xa0
master_end:
        movb    $0x20, %al
        outb    %al, $0x20
        popw    %ax
        iretw
unexpected:
        incw    %cs:strays
        pushw   %ax
        movb    $0x20, %al
        outb    %al, $0xa0
        jmp     master_end

# IRQ 1 carries the make and the break code of the key that was pressed.
keyboard_interrupt:
        movb    $0xf8, masks
        call    set_masks
        sti
1:      cmpb    $2, codes_count
        jae     2f
        hlt
        jmp     1b
2:      cli
        cmpw    $0xa525, codes                  # k, and k released
        check   e, "IRQ 1: the key's scan codes"
        movb    $0xfa, masks
        jmp     set_masks

# The 8042 and the keyboard behind it, by polling.
controller:
        movb    $0xad, %al                      # the keyboard is held
        call    command
        movb    $0xaa, %al
        call    command
        call    receive
        cmpb    $0x55, %al
        check   e, "8042 AA: the self test"
        movb    $0xab, %al
        call    command
        call    receive
        testb   %al, %al
        check   z, "8042 AB: the interface test"
        movb    $0x20, %al
        call    command
        call    receive
        movb    %al, %bl
        testb   $0x40, %al
        check   nz, "8042 20: translation is on"
        movb    $0x60, %al
        call    command
        andb    $0xee, %bl                      # no IRQ 1, the keyboard not held
        movb    %bl, %al
        call    send
        movb    $0x20, %al
        call    command
        call    receive
        cmpb    %bl, %al
        check   e, "8042 60: the command byte reads back"
        movb    $0xd2, %al
        call    command
        movb    $0x5a, %al
        call    send
        call    receive
        cmpb    $0x5a, %al
        check   e, "8042 D2: a byte as if from the keyboard"
        movb    $0xae, %al
        call    command
        movb    $0xee, %al
        call    send
        call    receive
        cmpb    $0xee, %al
        check   e, "keyboard EE: echo"
        movb    $0xf5, %al
        call    send
        call    receive
        cmpb    $0xfa, %al
        check   e, "keyboard F5: no scanning"
        movb    $0xf2, %al
        call    send
        call    receive
        cmpb    $0xfa, %al
        check   e, "keyboard F2: acknowledged"
        call    receive
        cmpb    $0xab, %al
        check   e, "keyboard F2: an MF2 keyboard"
        call    receive
        cmpb    $0x41, %al                      # 83h translated
        check   e, "keyboard F2: behind translation"
        movb    $0xed, %al
        call    send
        call    receive
        cmpb    $0xfa, %al
        check   e, "keyboard ED: lights"
        movb    $0x07, %al
        call    send
        call    receive
        cmpb    $0xfa, %al
        check   e, "keyboard ED: which"
        movb    $0xf4, %al
        call    send
        call    receive
        cmpb    $0xfa, %al
        check   e, "keyboard F4: scanning"
        movb    $0xd4, %al                      # to the mouse
        call    command
        movb    $0xf2, %al
        call    send
        call    receive
        cmpb    $0xfa, %al
        check   e, "mouse F2: acknowledged"
        inb     $0x64, %al
        testb   $0x20, %al
        check   nz, "mouse F2: the status says that it is the mouse's"
        call    receive
        testb   %al, %al
        check   z, "mouse F2: a mouse"
        ret

command:                                        # AL to the controller
        call    wait_empty
        outb    %al, $0x64
        ret
send:   call    wait_empty                      # AL to the keyboard, or as the command's parameter
        outb    %al, $0x60
        ret
wait_empty:
        pushw   %ax
1:      inb     $0x64, %al
        testb   $0x02, %al
        jnz     1b
        popw    %ax
        ret
receive:                                        # AL; EFh when nothing comes
        pushl   %ecx
        movl    $1000000, %ecx
1:      inb     $0x64, %al
        testb   $0x01, %al
        jnz     2f
        decl    %ecx
        jnz     1b
        movb    $0xef, %al
        jmp     3f
2:      inb     $0x60, %al
3:      popl    %ecx
        ret

# The A20 gate by port 92h and by the 8042's output port: FFFF:0610h is 600h or 100600h.
gate_a20:
        movw    $0xffff, %ax
        movw    %ax, %fs
        inb     $0x92, %al
        andb    $0xfc, %al
        orb     $0x02, %al
        outb    %al, $0x92
        movw    $0x1111, 0x600
        movw    $0x2222, %fs:0x610
        cmpw    $0x1111, 0x600
        check   e, "port 92h: open, 1 MiB is not 0"
        inb     $0x92, %al
        andb    $0xfc, %al
        outb    %al, $0x92
        cmpw    $0x1111, %fs:0x610
        check   e, "port 92h: closed, 1 MiB is 0"
        movw    $0x3333, %fs:0x610
        cmpw    $0x3333, 0x600
        check   e, "port 92h: closed, writes wrap too"
        movb    $0xd0, %al
        call    command
        call    receive
        movb    %al, %bl
        testb   $0x02, %al
        check   z, "8042 D0: the output port says closed"
        movb    $0xd1, %al
        call    command
        movb    %bl, %al
        orb     $0x03, %al
        call    send
        call    wait_empty
        cmpw    $0x2222, %fs:0x610
        check   e, "8042 D1: open, 1 MiB is as it was"
        inb     $0x92, %al
        testb   $0x02, %al
        check   nz, "port 92h: shows it"
        movb    $0xdd, %al
        call    command
        call    wait_empty
        cmpw    $0x3333, %fs:0x610
        check   e, "8042 DD: closed"
        movb    $0xdf, %al
        call    command
        call    wait_empty
        cmpw    $0x2222, %fs:0x610
        check   e, "8042 DF: open"
        ret

# Counter 0 at 50 Hz, against the clock's seconds below; the 8259 with interrupts masked and not acknowledged.
timer:  movb    $0x34, %al                      # counter 0, both bytes, mode 2
        outb    %al, $0x43
        movb    $DIVISOR & 255, %al
        outb    %al, $0x40
        movb    $DIVISOR >> 8, %al
        outb    %al, $0x40
        movw    $0, ticks
        sti
1:      hlt
        cmpw    $3, ticks
        jb      1b
        cli
        check   ae, "IRQ 0: ticks at the new vector"
        movb    $0xe2, %al                      # read-back: status of counter 0
        outb    %al, $0x43
        inb     $0x40, %al
        andb    $0x3f, %al
        cmpb    $0x34, %al
        check   e, "8254: counter 0 says mode 2"
        movl    $1000000, %ecx                  # the request stands in the 8259 while interrupts are off
2:      movb    $0x0a, %al
        outb    %al, $0x20
        inb     $0x20, %al
        testb   $0x01, %al
        loopzl  2b
        check   nz, "8259: the request of IRQ 0 stands"
        movw    ticks, %ax
        sti
        nop
        nop
        cli
        cmpw    ticks, %ax
        check   ne, "8259: it comes with STI"
        ret

# Counter 2 behind the gate of port 61h; its output is bit 5 there.
speaker:
        inb     $0x61, %al
        andb    $0xfc, %al
        outb    %al, $0x61                      # gate closed, speaker off
        movb    $0xb0, %al                      # counter 2, both bytes, mode 0
        outb    %al, $0x43
        inb     $0x61, %al
        testb   $0x20, %al
        check   z, "8254: mode 0 begins with a low output"
        movb    $0x00, %al
        outb    %al, $0x42
        movb    $0xf0, %al
        outb    %al, $0x42                      # F000h counts are 51 ms
        call    latch
        movw    %ax, %bx
        call    latch
        cmpw    %ax, %bx
        check   e, "8254: a closed gate stops counter 2"
        inb     $0x61, %al
        orb     $0x01, %al
        outb    %al, $0x61
        call    latch
        movw    %ax, %bx
1:      call    latch
        cmpw    %bx, %ax
        je      1b
        check   b, "8254: an open gate lets it count down"
        movl    $10000000, %ecx
2:      inb     $0x61, %al
        testb   $0x20, %al
        loopzl  2b
        check   nz, "8254: the output rises at the end"
        inb     $0x61, %al
        movb    %al, %bl
        movl    $1000000, %ecx
3:      inb     $0x61, %al
        xorb    %bl, %al
        testb   $0x10, %al
        loopzl  3b
        check   nz, "port 61h: refresh toggles"
        movb    $0xb6, %al                      # mode 3
        outb    %al, $0x43
        movb    $0x01, %al
        outb    %al, $0x42
        movb    $0x10, %al
        outb    %al, $0x42
        movb    $0xc8, %al                      # read-back: count and status of counter 2
        outb    %al, $0x43
        inb     $0x42, %al
        andb    $0x3f, %al
        cmpb    $0x36, %al
        check   e, "8254: read-back gives the mode"
        inb     $0x42, %al
        movb    %al, %ah
        inb     $0x42, %al
        xchgb   %al, %ah
        cmpw    $0x1001, %ax
        check   be, "8254: and the count"
        inb     $0x61, %al
        andb    $0xfc, %al
        outb    %al, $0x61
        ret

latch:  movb    $0x80, %al                      # AX: counter 2
        outb    %al, $0x43
        inb     $0x42, %al
        movb    %al, %ah
        inb     $0x42, %al
        xchgb   %al, %ah
        ret

# The MC146818: update in progress, and IRQ 8 from updates and at a rate.
clock:  movb    $0x8a, %al
        outb    %al, $0x70
        inb     $0x71, %al
        andb    $0x7f, %al
        cmpb    $0x26, %al                      # 32768 Hz, rate 6
        check   e, "RTC: register A"
0:      call    updating                        # the seconds while no update is in progress
        jnz     0b
        call    seconds
        movb    %al, %bl
        call    updating
        jnz     0b
        movl    $20000000, %ecx
1:      call    updating
        loopzl  1b
        check   nz, "RTC: an update is in progress"
        movl    $1000000, %ecx
2:      call    updating
        loopnzl 2b
        check   z, "RTC: the update is over"
        call    seconds
        cmpb    %bl, %al
        check   ne, "RTC: the seconds have changed"
        movb    $0x0d, %al
        outb    %al, $0x70
        inb     $0x71, %al
        testb   $0x80, %al
        check   nz, "RTC: the battery is good"

        movb    $0xfe, masks + 1                # IRQ 8
        call    set_masks
        movb    $0x10, %bl                      # at the end of each update
        call    enable
        movw    $0, rtc_count
        sti
3:      hlt
        cmpw    $1, rtc_count
        jb      3b
        movw    $0, ticks
4:      hlt
        cmpw    $2, rtc_count
        jb      4b
        movw    ticks, %si
        cli
        testb   $0x10, rtc_flags
        check   nz, "IRQ 8: says that an update ended"
        subw    $TICKS_A_SECOND * 8 / 10, %si        # a busy host may cost some
        cmpw    $TICKS_A_SECOND * 4 / 10, %si
        check   be, "IRQ 0 and IRQ 8 agree about a second"

        movb    $0x0a, %al                      # at 64 Hz
        outb    %al, $0x70
        movb    $0x2a, %al
        outb    %al, $0x71
        movb    $0x40, %bl
        call    enable
        movw    $0, rtc_count
        movb    $0, rtc_flags
        movw    $0, ticks
        sti
5:      hlt
        cmpw    $TICKS_A_SECOND / 2, ticks
        jb      5b
        cli
        testb   $0x40, rtc_flags
        check   nz, "IRQ 8: says that a period ended"
        movw    rtc_count, %ax                  # 32 in half a second
        subw    $20, %ax
        cmpw    $24, %ax
        check   be, "IRQ 8: about 64 times a second"
        movb    $0, %bl

enable: movb    $0x0b, %al                      # interrupts BL of register B, none pending
        outb    %al, $0x70
        inb     $0x71, %al
        andb    $0x8f, %al
        orb     %bl, %al
        movb    %al, %ah
        movb    $0x0b, %al
        outb    %al, $0x70
        movb    %ah, %al
        outb    %al, $0x71
        movb    $0x0c, %al
        outb    %al, $0x70
        inb     $0x71, %al
        ret

updating:                                       # ZF: no update is in progress
        movb    $0x0a, %al
        outb    %al, $0x70
        inb     $0x71, %al
        testb   $0x80, %al
        ret

seconds:
        xorb    %al, %al
        outb    %al, $0x70
        inb     $0x71, %al
        ret

ticks:          .word   0
rtc_count:      .word   0
strays:         .word   0
rtc_flags:      .byte   0
codes_count:    .byte   0
codes:          .fill   8, 1, 0
masks:          .byte   0, 0xff
