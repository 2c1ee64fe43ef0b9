# A guest for debuggers, in the form of a Linux bzImage: it counts for ever in registers and memory.
#
# With WIDE defined it has the 64-bit entry of the boot protocol (Documentation/arch/x86/boot.rst), 200h behind its load
# address of 1 MiB; else it is entered in 32-bit protected mode and goes to real mode if its command line begins with "r".
# Every loop is the same: a register counts up, memory is written, and a subroutine is called.

        .text
        .code32
        .org    0x1f1
setup_sects:    .byte   1
root_flags:     .word   1
syssize:        .long   (image_end - protected_mode + 15) / 16
ram_size:       .word   0
vid_mode:       .word   0xffff
root_dev:       .word   0
boot_flag:      .word   0xaa55
jump:           .byte   0xeb, header_end - header
header:         .ascii  "HdrS"
version:        .word   0x020f
realmode_switch: .long  0
start_sys_seg:  .word   0x1000
kernel_version: .word   0
type_of_loader: .byte   0
loadflags:      .byte   1                       # LOADED_HIGH
setup_move_size: .word  0
code32_start:   .long   0x100000
ramdisk_image:  .long   0
ramdisk_size:   .long   0
bootsect_kludge: .long  0
heap_end_ptr:   .word   0
ext_loader:     .word   0
cmd_line_ptr:   .long   0
initrd_addr_max: .long  0x37ffffff
kernel_alignment: .long 0x100000
relocatable_kernel: .byte 0
min_alignment:  .byte   0
        .ifdef  WIDE
xloadflags:     .word   1                       # XLF_KERNEL_64
        .else
xloadflags:     .word   0
        .endif
cmdline_size:   .long   255
hardware_subarch: .long 0
hardware_subarch_data: .quad 0
payload_offset: .long   0
payload_length: .long   0
setup_data:     .quad   0
pref_address:   .quad   0x100000
init_size:      .long   0x8000
header_end:
        .org    0x400

        .globl  narrow_loop, narrow_call, real_loop, wide_loop, wide_call, counter
protected_mode:                                 # at 1 MiB
        movl    0x228(%esi), %edi               # cmd_line_ptr
        testl   %edi, %edi
        jz      narrow
        cmpb    $'r', (%edi)
        je      to_real
narrow: movl    $0x90000, %esp
        xorl    %ecx, %ecx
narrow_loop:
        incl    %ecx
        movl    %ecx, counter
        call    narrow_call
        jmp     narrow_loop
narrow_call:
        movl    $0x11223344, %edx
        ret

to_real:                                        # a copy below 64 KiB runs with a segment base of 8000h
        movl    $real_code, %esi
        movl    $0x8000, %edi
        movl    $real_end - real_code, %ecx
        cld
        rep movsb
        lgdt    gdt_pointer
        ljmp    $0x20, $(sixteen - protected_mode)
        .code16
sixteen:
        movw    $0x28, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $0xfe, %al
        movl    %eax, %cr0
        ljmp    $0x800, $0
real_code:                                      # 0800:0000
        movw    $0x800, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x1000, %sp
        xorw    %cx, %cx
real_loop:
        incw    %cx
        movw    %cx, 0x200
        jmp     real_loop
real_end:
        .balign 8
gdt:    .quad   0, 0
        .quad   0x00cf9b000000ffff              # 10h: flat code
        .quad   0x00cf93000000ffff              # 18h: flat data
        .quad   0x00009b100000ffff              # 20h: 16-bit code at 1 MiB
        .quad   0x000093000000ffff              # 28h: 16-bit data
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt

        .code64
        .org    0x600                           # 64-bit entry
        movl    $0x90000, %esp
        xorl    %ecx, %ecx
wide_loop:
        incq    %rcx
        movq    %rcx, counter
        call    wide_call
        jmp     wide_loop
wide_call:
        movq    $0x1122334455667788, %rdx
        ret
        .balign 8
counter: .quad  0
        .balign 16
image_end:
