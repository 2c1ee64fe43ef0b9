# A guest of about two kilobytes in the form of a Linux bzImage: it says hello on COM1 and powers off through ACPI.
#
# Only what the boot protocol asks for is here (Documentation/arch/x86/boot.rst, protocol 2.06, no 64-bit entry): two
# setup sectors with the header at 1F1h, then the protected-mode part, which the loader puts at 1 MiB. A loader that
# uses the 32-bit entry starts it there, with flat segments and interrupts off; one that starts in real mode (a BIOS's)
# jumps into the setup sectors, which do no more than switch to protected mode.
#
# The first byte of the command line chooses the end. Without one it powers off. With "d" it ends through the debug exit port, "h" halts
# for good, "t" ends in a triple fault, "u" meets an undefined instruction (and, without a gate for it, a triple fault
# too), "m" goes on in the memory of the display and ends through the debug exit port from there, "e" echoes what comes in
# on COM1 for ever.

        .set    COM1, 0x3f8
        .set    LINE_STATUS, COM1 + 5           # 16550 datasheet: bit 5 transmitter empty, bit 0 data ready
        .set    PM1A_CONTROL, 0x604             # the address that our FADT announces
        .set    SLEEP_S5, (5 << 10) | (1 << 13) # SLP_TYP 5, SLP_EN (ACPI 6.5, section 4.8.3.2.1)
        .set    DEBUG_EXIT, 0x501
        .set    CMD_LINE_PTR, 0x228             # in boot_params

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
version:        .word   0x0206
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
xloadflags:     .word   0
cmdline_size:   .long   255
header_end:

        .code16
        cli                                     # DS: the segment of the setup sectors, 20h below CS
        xorl    %esi, %esi
        movw    %ds, %si
        shll    $4, %esi                        # ESI: boot_params, as in the 32-bit protocol
        leal    gdt(%esi), %eax
        movl    %eax, gdt_address
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $0x18, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        ljmpl   $0x10, $0x100000

        .balign 8
gdt:    .quad   0, 0
        .quad   0x00cf9b000000ffff              # 10h: flat code
        .quad   0x00cf93000000ffff              # 18h: flat data
gdt_size: .word gdt_size - gdt - 1
gdt_address: .long 0
        .code32
        .org    0x400

protected_mode:                                 # loaded at 1 MiB; all addresses below are relative to EIP
        cld
        movl    CMD_LINE_PTR(%esi), %edi        # ESI: boot_params
        movl    $0x90000, %esp
        call    base
base:   popl    %ebx
        leal    (text - base)(%ebx), %ebp
print:  movb    (%ebp), %cl
        testb   %cl, %cl
        jz      done
        call    put
        incl    %ebp
        jmp     print

done:   xorl    %eax, %eax
        testl   %edi, %edi
        jz      power_off
        movb    (%edi), %al
        cmpb    $'d', %al
        je      debug_exit
        cmpb    $'h', %al
        je      halt
        cmpb    $'t', %al
        je      triple_fault
        cmpb    $'u', %al
        je      undefined
        cmpb    $'m', %al
        je      device_memory
        cmpb    $'e', %al
        je      echo

power_off:
        movw    $PM1A_CONTROL, %dx
        movw    $SLEEP_S5, %ax
        outw    %ax, %dx
halt:   cli
        hlt
        jmp     halt

debug_exit:
        movw    $DEBUG_EXIT, %dx
        movb    $21, %al                        # the run ends with status (21 << 1) | 1 = 43
        outb    %al, %dx
        jmp     halt

triple_fault:
        lidt    (empty - base)(%ebx)            # no gate at all: the fault, the double fault, then the reset line
undefined:
        ud2

device_memory:
        leal    (on_screen - base)(%ebx), %esi  # to the text on a VGA screen, and on from there
        movl    $0xb8000, %edi
        movl    $(on_screen_end - on_screen), %ecx
        cld
        rep movsb
        movl    $0xb8000, %eax
        jmp     *%eax
on_screen:
        movw    $DEBUG_EXIT, %dx
        movb    $0x15, %al
        outb    %al, %dx
        jmp     .
on_screen_end:

echo:   movw    $LINE_STATUS, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      echo
        movw    $COM1, %dx
        inb     %dx, %al
        movb    %al, %cl
        call    put
        jmp     echo

put:    movw    $LINE_STATUS, %dx               # write CL when the transmitter is empty
wait:   inb     %dx, %al
        testb   $0x20, %al
        jz      wait
        movw    $COM1, %dx
        movb    %cl, %al
        outb    %al, %dx
        ret

empty:  .word   0
        .long   0
text:   .asciz  "hello from the guest\r\n"
        .balign 16
image_end:
