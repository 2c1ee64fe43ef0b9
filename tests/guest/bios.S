# BIOS services: INT 10h, 11h, 12h, 13h, 15h, 16h and 1Ah, each by what it promises.
#
# Sector 7 of cylinder 40, head 1 of the floppy, and sector 1000 of the disk, hold bytes n x n + 7 (n: the byte's place,
# modulo 256). The program writes their complement to cylinder 70, head 0, sector 18 and to sector 2001 of the disk. It
# asks for two keys, "k" and "Q", by "press two keys". Its last line on COM1 is the date, yyyymmdd.

        .include "sixteen.inc"

        .set    BUFFER, 0xc000                  # in segment 0
        .set    BUFFER_2, 0xc200
        .set    HIGH_SEGMENT, 0x3000
        .set    DISK, 0x80
        .set    DISK_SECTORS, 16384             # 8 MiB

main:   movw    $0x0003, %ax
        int     $0x10
        call    screen
        movb    $1, on_screen
        call    equipment
        call    floppy
        call    disk
        call    memory
        call    keys
        call    clock
        ret

# Screen: mode 3 is set, nothing is written yet.
screen: movb    $0x0f, %ah
        int     $0x10
        cmpw    $0x5003, %ax                    # 80 columns, mode 3
        check   e, "INT 10h 0F: mode 3"
        testb   %bh, %bh
        check   z, "INT 10h 0F: page 0"
        movw    $0xb800, %ax
        movw    %ax, %es

        movw    $0x0203, %ax                    # AH = 2
        xorw    %bx, %bx
        movw    $0x0510, %dx                    # row 5, column 16
        int     $0x10
        movw    $0x0e00 | 'A', %ax
        int     $0x10
        movb    $0x03, %ah
        int     $0x10
        cmpw    $0x0511, %dx
        check   e, "INT 10h 02, 0E, 03: the cursor moves"
        cmpw    $0x0700 | 'A', %es:(5 * 80 + 16) * 2
        check   e, "INT 10h 0E: the letter is in the memory"

        movw    $0x0900 | 'B', %ax
        movw    $0x001e, %bx                    # yellow on blue
        movw    $3, %cx
        int     $0x10
        cmpl    $0x1e421e42, %es:(5 * 80 + 18) * 2
        check   e, "INT 10h 09: three letters with their attribute"
        movw    $0x0a00 | 'C', %ax
        movw    $1, %cx
        int     $0x10
        movb    $0x08, %ah
        int     $0x10
        cmpw    $0x1e00 | 'C', %ax
        check   e, "INT 10h 0A, 08: a letter under the old attribute"

        movw    $0x0601, %ax                    # up by a line
        movb    $0x20, %bh
        movw    $0x0410, %cx
        movw    $0x0620, %dx
        int     $0x10
        cmpw    $0x0700 | 'A', %es:(4 * 80 + 16) * 2
        check   e, "INT 10h 06: the window scrolls up"
        cmpw    $0x2020, %es:(6 * 80 + 32) * 2
        check   e, "INT 10h 06: the line below is blank in its attribute"
        movw    $0x0702, %ax                    # down by two
        movb    $0x07, %bh
        movw    $0x0400, %cx
        movw    $0x0a4f, %dx
        int     $0x10
        cmpw    $0x0700 | 'A', %es:(6 * 80 + 16) * 2
        check   e, "INT 10h 07: the window scrolls down"

        movw    $0x1301, %ax                    # a string, the cursor behind it
        movw    $0x0017, %bx
        movw    $5, %cx
        movw    $0x0c4d, %dx                    # goes on in the next row
        pushw   %es
        pushw   %ds
        popw    %es
        movw    $string, %bp
        int     $0x10
        popw    %es
        cmpw    $0x1700 | 'v', %es:(12 * 80 + 77) * 2
        check   e, "INT 10h 13: the string begins"
        cmpw    $0x1700 | 'e', %es:(13 * 80 + 1) * 2
        check   e, "INT 10h 13: the string ends in the next row"
        movb    $0x03, %ah
        movb    $0, %bh
        int     $0x10
        cmpw    $0x0d02, %dx
        check   e, "INT 10h 13: the cursor is behind it"

        movb    $0x01, %ah
        movw    $0x0207, %cx
        int     $0x10
        movb    $0x03, %ah
        movb    $0, %bh
        int     $0x10
        cmpw    $0x0207, %cx
        check   e, "INT 10h 01, 03: the cursor's shape"

        movw    $0x0501, %ax
        int     $0x10
        movb    $0x0f, %ah
        int     $0x10
        cmpb    $1, %bh
        check   e, "INT 10h 05: page 1"
        movw    $0x0500, %ax
        int     $0x10

        movw    $0x1130, %ax
        movb    $6, %bh                         # the 8 by 16 font
        pushw   %es
        int     $0x10
        cmpb    $0x10, %es:'A' * 16 + 2(%bp)    # the tip of an A
        popw    %es
        check   e, "INT 10h 11: the font has an A"
        cmpw    $16, %cx
        check   e, "INT 10h 11: 16 lines"
        movb    $0x12, %ah
        movb    $0x10, %bl
        int     $0x10
        cmpb    $3, %bl
        check   e, "INT 10h 12: 256 KiB"
        movw    $0x1a00, %ax
        int     $0x10
        cmpb    $0x1a, %al
        check   e, "INT 10h 1A: a VGA's function"
        cmpb    $0x08, %bl
        check   e, "INT 10h 1A: a colour VGA"
        movw    $0x0200, %ax                    # what follows begins in row 0
        xorw    %bx, %bx
        xorw    %dx, %dx
        int     $0x10
        movw    $0x0003, %ax
        int     $0x10
        pushw   %ds
        popw    %es
        ret
string: .ascii  "vmwbe"

equipment:
        int     $0x11
        testb   $1, %al
        check   nz, "INT 11h: a floppy drive"
        testb   $2, %al
        check   nz, "INT 11h: a coprocessor"
        int     $0x12
        cmpw    $600, %ax
        check   a, "INT 12h: more than 600 KiB"
        cmpw    $640, %ax
        check   be, "INT 12h: not more than 640 KiB"
        cmpw    %ax, 0x413
        check   e, "INT 12h: as in the BIOS data area"
        ret

complement:                                     # of the sector at BUFFER, there
        movw    $BUFFER, %si
1:      notb    (%si)
        incw    %si
        cmpw    $BUFFER_2, %si
        jne     1b
        ret

floppy: movb    $0x00, %ah
        movb    boot_drive, %dl
        int     $0x13
        check   nc, "INT 13h 00: floppy reset"
        movb    $0x08, %ah
        movb    boot_drive, %dl
        pushw   %es
        int     $0x13
        popw    %es
        check   nc, "INT 13h 08: floppy parameters"
        cmpb    $4, %bl
        check   e, "INT 13h 08: 1.44M"
        cmpw    $0x4f12, %cx
        check   e, "INT 13h 08: 80 cylinders of 18 sectors"
        cmpw    $0x0101, %dx
        check   e, "INT 13h 08: two heads, one drive"
        movb    $0x15, %ah
        movb    boot_drive, %dl
        int     $0x13
        check   nc, "INT 13h 15: floppy type"

        movw    $0x0201, %ax
        movw    $BUFFER, %bx
        movw    $0x2807, %cx                    # cylinder 40, sector 7
        movb    $1, %dh
        movb    boot_drive, %dl
        int     $0x13
        check   nc, "INT 13h 02: floppy read"
        movw    $BUFFER, %si
        movb    $0, %bl
        call    pattern
        check   e, "INT 13h 02: the floppy's bytes"
        call    complement
        movw    $0x0301, %ax
        movw    $BUFFER, %bx
        movw    $0x4612, %cx                    # cylinder 70, sector 18
        movb    $0, %dh
        movb    boot_drive, %dl
        int     $0x13
        check   nc, "INT 13h 03: floppy write"
        movw    $0x0401, %ax
        movw    $0x4612, %cx
        movb    $0, %dh
        movb    boot_drive, %dl
        int     $0x13
        check   nc, "INT 13h 04: floppy verify"
        movw    $0x0201, %ax
        movw    $BUFFER_2, %bx
        movw    $0x4612, %cx
        movb    $0, %dh
        movb    boot_drive, %dl
        int     $0x13
        movw    $BUFFER_2, %si
        movb    $0xff, %bl
        call    pattern
        check   e, "INT 13h 03: what was written comes back"
        # More than a track holds, as boot sectors ask for: over to the next cylinder, and to its other side.
        pushw   %es
        movw    $HIGH_SEGMENT, %ax
        movw    %ax, %es
        movw    $0x0223, %ax                    # 35 sectors
        xorw    %bx, %bx
        movw    $0x2709, %cx                    # cylinder 39, sector 9
        movb    $1, %dh
        movb    boot_drive, %dl
        int     $0x13
        popw    %es
        check   nc, "INT 13h 02: 35 sectors in one call"
        pushw   %ds
        movw    $HIGH_SEGMENT, %ax
        movw    %ax, %ds
        movw    $(34 * 512), %si
        movb    $0, %bl
        call    pattern
        popw    %ds
        check   e, "INT 13h 02: the last of them is cylinder 40, head 1, sector 7"
        movw    $0x0201, %ax
        movw    $BUFFER, %bx
        movw    $0x0013, %cx                    # sector 19
        movb    $0, %dh
        movb    boot_drive, %dl
        int     $0x13
        check   c, "INT 13h 02: no sector 19"
        pushw   %ax
        movb    $0x01, %ah
        movb    boot_drive, %dl
        int     $0x13
        popw    %bx
        cmpb    %bh, %ah
        check   e, "INT 13h 01: the status of the last call"
        ret

disk:   movb    $0x00, %ah
        movb    $DISK, %dl
        int     $0x13
        check   nc, "INT 13h 00: disk reset"
        movb    $0x41, %ah
        movw    $0x55aa, %bx
        movb    $DISK, %dl
        int     $0x13
        check   nc, "INT 13h 41: extensions"
        cmpw    $0xaa55, %bx
        check   e, "INT 13h 41: their sign"
        testb   $1, %cl
        check   nz, "INT 13h 41: packets"
        movw    $parameters, %si
        movb    $0x48, %ah
        movb    $DISK, %dl
        int     $0x13
        check   nc, "INT 13h 48: disk parameters"
        cmpl    $DISK_SECTORS, parameters + 16
        check   e, "INT 13h 48: 16384 sectors"
        cmpw    $512, parameters + 24
        check   e, "INT 13h 48: of 512 bytes"
        movb    $0x15, %ah
        movb    $DISK, %dl
        int     $0x13
        cmpb    $3, %ah
        check   e, "INT 13h 15: a disk"

        movw    $BUFFER, packet + 4
        movl    $1000, packet + 8
        movb    $0x42, %ah
        call    packet_call
        check   nc, "INT 13h 42: disk read"
        movw    $BUFFER, %si
        movb    $0, %bl
        call    pattern
        check   e, "INT 13h 42: the disk's bytes"
        call    complement
        movl    $2001, packet + 8
        movw    $0x4300, %ax
        call    packet_call
        check   nc, "INT 13h 43: disk write"
        movl    $2001, packet + 8
        movb    $0x44, %ah
        call    packet_call
        check   nc, "INT 13h 44: disk verify"

        movb    $0x08, %ah                      # the same sector by cylinder, head and sector
        movb    $DISK, %dl
        pushw   %es
        int     $0x13
        popw    %es
        check   nc, "INT 13h 08: disk geometry"
        andw    $0x3f, %cx
        movw    %cx, %di                        # DI: sectors of a track
        movzbw  %dh, %bp
        incw    %bp                             # BP: heads
        xorw    %dx, %dx
        movw    $2001, %ax
        divw    %di
        movw    %dx, %cx
        incw    %cx                             # CL: sector
        xorw    %dx, %dx
        divw    %bp                             # AX: cylinder, DX: head
        movb    %al, %ch
        movb    %dl, %dh
        movb    $DISK, %dl
        movw    $0x0201, %ax
        movw    $BUFFER_2, %bx
        int     $0x13
        check   nc, "INT 13h 02: disk read by cylinder, head, sector"
        movw    $BUFFER_2, %si
        movb    $0xff, %bl
        call    pattern
        check   e, "INT 13h 43: what was written comes back"
        movl    $DISK_SECTORS, packet + 8
        movb    $0x42, %ah
        call    packet_call
        check   c, "INT 13h 42: nothing behind the end"
        ret

packet_call:
        movw    $1, packet + 2
        movw    $packet, %si
        movb    $DISK, %dl
        int     $0x13
        ret
packet: .word   16, 1, BUFFER, 0
        .quad   0
parameters:
        .word   30
        .fill   28, 1, 0

# Memory: the map of 64 MiB, the block move, the A20 gate.
memory: xorl    %ebx, %ebx
        xorl    %ebp, %ebp                      # EBP: RAM in KiB
1:      movl    $0xe820, %eax
        movl    $0x534d4150, %edx               # "SMAP"
        movl    $20, %ecx
        movw    $BUFFER, %di
        int     $0x15
        jc      2f
        cmpl    $0x534d4150, %eax
        jne     2f
        cmpl    $1, BUFFER + 16                 # RAM
        jne     3f
        movl    BUFFER + 8, %eax
        shrl    $10, %eax
        addl    %eax, %ebp
3:      testl   %ebx, %ebx
        jnz     1b
2:      testl   %ebx, %ebx
        check   z, "INT 15h E820: the map ends"
        cmpl    $63 << 10, %ebp
        check   a, "INT 15h E820: more than 63 MiB"
        cmpl    $64 << 10, %ebp
        check   be, "INT 15h E820: not more than 64 MiB"
        movb    $0x88, %ah
        int     $0x15
        cmpw    $60 << 10, %ax
        check   a, "INT 15h 88: more than 60 MiB extended"
        movw    $0xe801, %ax
        int     $0x15
        cmpw    $0x3c00, %ax
        check   e, "INT 15h E801: 15 MiB below 16 MiB"
        cmpw    $47 << 4, %bx
        check   a, "INT 15h E801: 47 MiB above"
        movb    $0xc0, %ah
        pushw   %es
        int     $0x15
        cmpb    $0xfc, %es:2(%bx)
        popw    %es
        check   e, "INT 15h C0: an AT"

        movl    $0x12345678, BUFFER
        movw    $moves, %si
        movw    $2, %cx
        movb    $0x87, %ah
        int     $0x15
        check   nc, "INT 15h 87: a move to 3 MiB"
        movl    $0, BUFFER
        movw    $BUFFER & 0xffff, move_to
        movb    $BUFFER >> 16, move_to + 2
        movw    $0, move_from
        movb    $0x30, move_from + 2
        movw    $moves, %si
        movw    $2, %cx
        movb    $0x87, %ah
        int     $0x15
        cmpl    $0x12345678, BUFFER
        check   e, "INT 15h 87: and back"

        movw    $0x2403, %ax
        int     $0x15
        check   nc, "INT 15h 2403: ways to the A20 gate"
        testb   $2, %bl
        check   nz, "INT 15h 2403: by port 92h"
        movw    $0xffff, %ax
        movw    %ax, %fs
        movw    $0x2401, %ax
        int     $0x15
        check   nc, "INT 15h 2401: the gate opens"
        movw    $0x1111, 0x600
        movw    $0x2222, %fs:0x610              # 100600h
        cmpw    $0x1111, 0x600
        check   e, "INT 15h 2401: 1 MiB is not 0"
        movw    $0x2400, %ax
        int     $0x15
        check   nc, "INT 15h 2400: the gate closes"
        cmpw    $0x1111, %fs:0x610
        check   e, "INT 15h 2400: 1 MiB is 0"
        movw    $0x2402, %ax
        int     $0x15
        testb   %al, %al
        check   z, "INT 15h 2402: the gate is closed"
        movw    $0x2401, %ax
        int     $0x15
        cmpw    $0x2222, %fs:0x610
        check   e, "INT 15h 2401: 1 MiB is there again"
        ret
        .balign 8
moves:  .fill   16, 1, 0
        .word   0xffff
move_from:
        .word   BUFFER
        .byte   0, 0x93
        .word   0
        .word   0xffff
move_to:
        .word   0
        .byte   0x30, 0x93
        .word   0
        .fill   16, 1, 0

keys:   movb    $0x02, %ah
        int     $0x16
        testb   $0x0f, %al
        check   z, "INT 16h 02: no shift"
        movb    $0x05, %ah
        movw    $0x1e61, %cx
        int     $0x16
        testb   %al, %al
        check   z, "INT 16h 05: a key for the buffer"
        movb    $0x11, %ah
        int     $0x16
        check   nz, "INT 16h 11: a key is there"
        movb    $0x10, %ah
        int     $0x16
        cmpw    $0x1e61, %ax
        check   e, "INT 16h 10: it was the one"
        movb    $0x01, %ah
        int     $0x16
        check   z, "INT 16h 01: no key any more"
        movw    $ask, %si
        call    print
        movb    $0x00, %ah
        int     $0x16
        cmpw    $0x256b, %ax
        check   e, "INT 16h 00: k"
        movb    $0x00, %ah
        int     $0x16
        cmpw    $0x1051, %ax
        check   e, "INT 16h 00: Q"
        ret
ask:    .asciz  "press two keys\r\n"

clock:  movb    $0x00, %ah
        int     $0x1a
        movw    %dx, %si
1:      hlt
        movb    $0x00, %ah
        int     $0x1a
        subw    %si, %dx
        cmpw    $3, %dx
        jb      1b
        cmpw    0x46c, %si
        check   ne, "INT 1Ah 00: three ticks"

        movb    $0x86, %ah                      # wait for 100 ms: 1.8 ticks
        movw    $1, %cx
        movw    $0x86a0, %dx
        movw    0x46c, %si
        int     $0x15
        check   nc, "INT 15h 86: a wait"
        movw    0x46c, %ax
        subw    %si, %ax
        cmpw    $1, %ax
        check   ae, "INT 15h 86: of a tick or more"

        movb    $0x02, %ah
        int     $0x1a
        check   nc, "INT 1Ah 02: the time"
        cmpb    $0x23, %ch
        check   be, "INT 1Ah 02: hours"
        cmpb    $0x59, %cl
        check   be, "INT 1Ah 02: minutes"
        cmpb    $0x59, %dh
        check   be, "INT 1Ah 02: seconds"
        movb    $0x04, %ah
        int     $0x1a
        check   nc, "INT 1Ah 04: the date"
        movw    %cx, %ax
        call    put_hex16
        movw    %dx, %ax
        call    put_hex16
        movw    $line_end, %si
        jmp     print
