# Disks of 600 MiB, 10 GiB and 200 GiB by INT 13h: cylinders, heads and sectors as far as they go, and block numbers to the
# end.
#
# The sectors that are read hold their own numbers as eight bytes at their beginning. The three disks are the BIOS's
# 80h to 82h, in this order.

        .include "sixteen.inc"

        .set    BUFFER, 0xc000

main:   movw    $disks, %bp
        movb    $0x80, %dl
1:      movb    %dl, disk
        call    one
        addw    $16, %bp
        movb    disk, %dl
        incb    %dl
        cmpb    $0x83, %dl
        jne     1b
        ret

# Sectors, and the heads that SeaBIOS counts, of each.
        .balign 8
disks:  .quad   600 << 11
        .word   32, 0, 0, 0
        .quad   10 << 21
        .word   255, 0, 0, 0
        .quad   200 << 21
        .word   255, 0, 0, 0

# A BIOS hides a disk's last cylinder, where controllers once kept what they needed; it can be read all the same.
one:    movb    $0x08, %ah                      # parameters: the highest cylinder, head and sector
        pushw   %es
        int     $0x13
        popw    %es
        movw    %cx, %bx
        xchgb   %bl, %bh
        shrb    $6, %bh
        andw    $0x3f, %cx
        movzbw  %dh, %di
        incw    %di
        cmpw    %di, 8(%bp)
        check   e, "AH = 8: the heads"
        incw    %bx
        movw    %bx, cylinder
        movw    %cx, sector
        movzwl  %bx, %eax                       # the sector's number
        movzwl  %di, %ecx
        mull    %ecx
        decw    %di
        movzwl  %di, %ecx
        addl    %ecx, %eax
        movzwl  sector, %ecx
        mull    %ecx
        addl    %ecx, %eax
        decl    %eax
        movl    %eax, number
        movl    $0, number + 4
        movw    cylinder, %ax
        movw    %di, %dx
        movb    %dl, %dh
        movb    disk, %dl
        movb    %al, %ch
        movb    %ah, %cl
        shlb    $6, %cl
        orb     sector, %cl
        movw    $0x0201, %ax                    # read one sector there
        movw    $BUFFER, %bx
        int     $0x13
        check   nc, "AH = 2: the last cylinder, head and sector"
        call    same
        check   e, "AH = 2: the sector that it is"

        movb    $0x41, %ah                      # extensions
        movw    $0x55aa, %bx
        movb    disk, %dl
        int     $0x13
        cmpw    $0xaa55, %bx
        check   e, "AH = 41h: there are extensions"
        movb    $0x48, %ah                      # parameters
        movw    $30, BUFFER
        movw    $BUFFER, %si
        movb    disk, %dl
        int     $0x13
        movl    BUFFER + 16, %eax
        cmpl    %eax, (%bp)
        check   e, "AH = 48h: the sectors"
        cmpl    $0, BUFFER + 20
        check   e, "AH = 48h: not more"
        decl    %eax
        movl    %eax, number
        movw    $packet, %si
        movb    $0x42, %ah                      # read by number
        movb    disk, %dl
        int     $0x13
        check   nc, "AH = 42h: the last sector"
        call    same
        check   e, "AH = 42h: the sector that it is"
        incl    number
        movw    $packet, %si
        movb    $0x42, %ah
        movb    disk, %dl
        int     $0x13
        check   c, "AH = 42h: nothing behind it"
        ret

same:   movl    number, %eax                    # ZF: the buffer begins with the sector's number
        cmpl    %eax, BUFFER
        jne     1f
        movl    number + 4, %eax
        cmpl    %eax, BUFFER + 4
1:      ret

disk:           .byte   0
        .balign 4
packet:         .byte   16, 0
                .word   1, BUFFER, 0
number:         .quad   0
cylinder:       .word   0
sector:         .word   0
