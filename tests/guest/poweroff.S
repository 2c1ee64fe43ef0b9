# Switches the machine off as a program for the BIOS does: by the APM interface (APM 1.2, INT 15h 53h).

        .include "sixteen.inc"

main:   movw    $0x5300, %ax                    # is it there?
        xorw    %bx, %bx
        int     $0x15
        check   nc, "APM: there is an interface"
        cmpw    $0x504d, %bx                    # "PM"
        check   e, "APM: the sign"
        movw    $0x5301, %ax                    # connect from real mode
        xorw    %bx, %bx
        int     $0x15
        check   nc, "APM: connected"
        movw    $0x530e, %ax
        xorw    %bx, %bx
        movw    $0x0102, %cx
        int     $0x15
        check   nc, "APM: version 1.2"
        movw    $0x5307, %ax
        movw    $1, %bx                         # all devices
        movw    $3, %cx                         # off
        int     $0x15
        cmpw    %ax, %ax
        check   ne, "APM: nothing comes behind the end"
        ret
