# VBE: 1024 by 768 dots of 32 bits in a linear frame buffer, drawn from unreal mode.
#
# The dot at (x, y) has red x / 4, green y / 4 and blue (x XOR y) & 255.

        .include "sixteen.inc"

        .set    INFO, 0xc000                    # in segment 0
        .set    MODE_INFO, 0xc400
        .set    ATTRIBUTES, MODE_INFO           # VBE 3.0, function 01h, ModeInfoBlock
        .set    BYTES_PER_LINE, MODE_INFO + 0x10
        .set    X_RESOLUTION, MODE_INFO + 0x12
        .set    Y_RESOLUTION, MODE_INFO + 0x14
        .set    BITS_PER_PIXEL, MODE_INFO + 0x19
        .set    FRAME_BUFFER, MODE_INFO + 0x28

main:   movl    $0x32454256, INFO               # "VBE2"
        movw    $0x4f00, %ax
        movw    $INFO, %di
        int     $0x10
        cmpw    $0x004f, %ax
        check   e, "4F00: there is VBE"
        cmpl    $0x41534556, INFO               # "VESA"
        check   e, "4F00: the sign"
        cmpw    $0x0200, INFO + 4
        check   ae, "4F00: version 2 or later"

        lfs     INFO + 14, %si                  # the list of modes
1:      movw    %fs:(%si), %cx
        addw    $2, %si
        cmpw    $0xffff, %cx
        je      2f
        movw    $0x4f01, %ax
        movw    $MODE_INFO, %di
        int     $0x10
        cmpw    $0x004f, %ax
        jne     1b
        cmpl    $768 << 16 | 1024, X_RESOLUTION
        jne     1b
        cmpb    $32, BITS_PER_PIXEL
        jne     1b
        testb   $0x80, ATTRIBUTES               # linear
        jz      1b
2:      cmpw    $0xffff, %cx
        check   ne, "4F01: a linear mode of 1024 by 768 by 32"
        cmpw    $4096, BYTES_PER_LINE
        check   e, "4F01: 4096 bytes a line"
        cmpl    $0xfd000000, FRAME_BUFFER
        check   e, "4F01: the frame buffer is where small systems expect it"

        movw    %cx, %bx
        orw     $0x4000, %bx
        movw    %bx, chosen
        movw    $0x4f02, %ax
        int     $0x10
        cmpw    $0x004f, %ax
        check   e, "4F02: the mode is set"
        movw    $0x4f03, %ax
        int     $0x10
        cmpw    chosen, %bx
        check   e, "4F03: it is the one"

        # Unreal: FS keeps the limit and base that protected mode gave it.
        movw    $0x2401, %ax
        int     $0x15
        cli
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $8, %bx
        movw    %bx, %fs
        andb    $0xfe, %al
        movl    %eax, %cr0
        sti

        movl    FRAME_BUFFER, %edi
        xorl    %edx, %edx                      # EDX: y
3:      xorl    %ecx, %ecx                      # ECX: x
4:      movl    %ecx, %eax
        shll    $14, %eax
        andl    $0xff0000, %eax
        movl    %edx, %ebx
        shll    $6, %ebx
        andl    $0xff00, %ebx
        orl     %ebx, %eax
        movb    %cl, %al
        xorb    %dl, %al
        movl    %eax, %fs:(%edi)
        addl    $4, %edi
        incl    %ecx
        cmpl    $1024, %ecx
        jb      4b
        incl    %edx
        cmpl    $768, %edx
        jb      3b
        cmpl    $0xffbf00, %fs:-4(%edi)
        check   e, "the last dot reads back"

        movw    $0x4f05, %ax
        xorw    %bx, %bx
        movw    $1, %dx
        int     $0x10
        cmpb    $0x03, %ah
        check   e, "4F05: no banks in a linear mode"
        movw    chosen, %bx                     # the same mode with the window at A0000h, the memory as it is
        xorw    $0xc000, %bx
        movw    $0x4f02, %ax
        int     $0x10
        movw    $0x4f05, %ax
        xorw    %bx, %bx
        movw    $1, %dx
        int     $0x10
        cmpw    $0x004f, %ax
        check   e, "4F05: a bank is chosen"
        movw    $0xa000, %ax
        movw    %ax, %gs
        cmpl    $0x000410, %gs:0                # 64 KiB are 16 lines: the dot at (0, 16)
        check   e, "4F05: bank 1 is in the window"
        movw    $0x4f06, %ax
        movw    $1, %bx
        int     $0x10
        cmpw    $1024, %cx
        check   e, "4F06: lines of 1024 dots"
        ret

chosen: .word   0
        .balign 8
gdt:    .quad   0
        .quad   0x00cf93000000ffff              # 8: flat data of 4 GiB
gdt_size:
        .word   gdt_size - gdt - 1
        .long   gdt
