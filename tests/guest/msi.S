# A PCI function that interrupts by messages (MSI), driven from unreal mode: the random numbers of virtio.
#
# Sources: PCI Local Bus Specification 3.0, section 6.8.1; virtio 1.2, sections 2.7, 4.1 and 5.4. The messages go to the
# local APIC of the only processor, which SeaBIOS has switched on, as vectors 50h (queues) and 51h (configuration).

        .include "sixteen.inc"

        .set    CONFIG_ADDRESS, 0xcf8
        .set    CONFIG_DATA, 0xcfc
        .set    FUNCTION_ID, 0x10441af4         # virtio, type 4, modern
        .set    COMMAND, 0x04
        .set    INTERRUPT_STATUS, 1 << 19       # of the double word at COMMAND
        .set    CAPABILITIES, 0x34

        .set    MSI_ADDRESS, 4                  # behind the capability's head
        .set    MSI_ADDRESS_HIGH, 8
        .set    MSI_DATA, 12
        .set    MSI_MASK, 16
        .set    MSI_PENDING, 20

        .set    STATUS, 20                      # in the common structure
        .set    FEATURE_SELECT, 8
        .set    FEATURES, 12
        .set    QUEUE_SIZE, 24
        .set    QUEUE_ENABLE, 28
        .set    QUEUE_NOTIFY, 30
        .set    QUEUE_DESCRIPTORS, 32
        .set    QUEUE_AVAILABLE, 40
        .set    QUEUE_USED, 48

        .set    DESCRIPTORS, 0xc000             # in segment 0
        .set    AVAILABLE, 0xc100
        .set    USED, 0xc200
        .set    BUFFER, 0xc300
        .set    BUFFER_BYTES, 64

        .set    LAPIC_EOI, 0xfee000b0
        .set    VECTOR, 0x50

main:   movw    $message_handler, VECTOR * 4
        movw    $0, VECTOR * 4 + 2
        movw    $stray_handler, (VECTOR + 1) * 4
        movw    $0, (VECTOR + 1) * 4 + 2
        movw    $0x2401, %ax                    # A20 on
        int     $0x15
        cli                                     # FS keeps the limit and base that protected mode gave it
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $8, %bx
        movw    %bx, %fs
        andb    $0xfe, %al
        movl    %eax, %cr0
        sti

        movl    $0x80000000, function           # bus 0, from device 0 on
1:      xorb    %bl, %bl
        call    config_read
        cmpl    $FUNCTION_ID, %eax
        je      2f
        addl    $0x800, function
        cmpl    $0x80010000, function
        jne     1b
2:      check   e, "the function is found"
        call    walk
        cmpb    $0, msi
        check   ne, "it can send messages"
        movb    msi, %bl
        call    config_read
        andl    $0xffff0000, %eax
        cmpl    $0x01820000, %eax
        check   e, "two of them, to 64-bit addresses, with masks; off"

        movb    $COMMAND, %bl
        call    config_read
        orw     $6, %ax
        call    config_write
        call    start_device
        check   e, "the device takes its queue"

        movb    $MSI_ADDRESS, %al
        movl    $0xfee00000, %edx
        call    msi_write
        movb    $MSI_ADDRESS_HIGH, %al
        xorl    %edx, %edx
        call    msi_write
        movb    $MSI_DATA, %al
        movl    $VECTOR, %edx
        call    msi_write
        xorb    %al, %al
        movl    $0x00110000, %edx               # on, with two messages
        call    msi_write

        call    request
        check   e, "a request is answered"
        call    wait_irq
        check   ne, "by a message"
        cmpb    $1, came
        check   e, "one"
        movl    isr, %eax
        movb    %fs:(%eax), %al
        cmpb    $1, %al
        check   e, "that is about a queue"

        movb    $MSI_MASK, %al
        movl    $1, %edx
        call    msi_write
        call    request
        check   e, "a request is answered while its message is masked"
        cmpb    $1, came
        check   e, "and no message comes"
        movb    $MSI_PENDING, %al
        call    msi_read
        cmpl    $1, %eax
        check   e, "it is pending"
        movb    $MSI_MASK, %al
        xorl    %edx, %edx
        call    msi_write
        call    wait_irq
        check   ne, "and comes when it is unmasked"
        movb    $MSI_PENDING, %al
        call    msi_read
        cmpl    $0, %eax
        check   e, "then it is pending no more"
        movl    isr, %eax
        movb    %fs:(%eax), %al

        movb    $COMMAND, %bl                   # the pin would lead to the BIOS
        call    config_read
        orw     $0x400, %ax
        call    config_write
        xorb    %al, %al
        xorl    %edx, %edx
        call    msi_write
        call    request
        check   e, "a request is answered while messages are off"
        cmpb    $2, came
        check   e, "without one"
        movb    $COMMAND, %bl
        call    config_read
        testl   $INTERRUPT_STATUS, %eax
        check   nz, "the function would pull its pin"
        cmpb    $0, strays
        check   e, "no message came that is not the queue's"
        ret

message_handler:
        incb    fired
        incb    came
        jmp     1f
stray_handler:
        incb    strays
1:      pushl   %eax
        movl    $LAPIC_EOI, %eax
        movl    $0, %fs:(%eax)
        popl    %eax
        iret

config_read:                                    # EAX: the double word at BL of the function
        pushw   %dx
        movzbl  %bl, %eax
        orl     function, %eax
        movw    $CONFIG_ADDRESS, %dx
        outl    %eax, %dx
        movw    $CONFIG_DATA, %dx
        inl     %dx, %eax
        popw    %dx
        ret

config_write:                                   # EAX to the double word at BL
        pushw   %dx
        pushl   %eax
        movzbl  %bl, %eax
        orl     function, %eax
        movw    $CONFIG_ADDRESS, %dx
        outl    %eax, %dx
        movw    $CONFIG_DATA, %dx
        popl    %eax
        outl    %eax, %dx
        popw    %dx
        ret

msi_read:                                       # EAX: the register at AL of the capability
        movb    msi, %bl
        addb    %al, %bl
        jmp     config_read

msi_write:                                      # EDX to the register at AL of the capability
        movb    msi, %bl
        addb    %al, %bl
        movl    %edx, %eax
        jmp     config_write

walk:   movb    $CAPABILITIES, %bl              # find MSI and the structures of virtio
        call    config_read
1:      movb    %al, %bl
        testb   %bl, %bl
        jz      4f
        call    config_read
        cmpb    $0x05, %al
        jne     2f
        movb    %bl, msi
2:      cmpb    $0x09, %al
        jne     3f
        pushl   %eax
        shrl    $24, %eax                       # the kind: 1 common, 2 notify, 3 interrupt status
        cmpb    $3, %al
        ja      5f
        call    structure
5:      popl    %eax
3:      movb    %ah, %al
        jmp     1b
4:      ret

structure:                                      # note where the structure of kind AX lies whose capability is at BL
        pushw   %bx
        movw    %ax, %si
        shlw    $2, %si
        addb    $4, %bl
        call    config_read                     # its base address register
        movb    %al, %bh
        addb    $4, %bl
        call    config_read                     # and its offset
        movl    %eax, %edi
        addb    $8, %bl
        cmpw    $2 << 2, %si
        jne     1f
        call    config_read
        movl    %eax, multiplier
1:      movb    %bh, %bl
        shlb    $2, %bl
        addb    $0x10, %bl
        call    config_read
        andb    $0xf0, %al
        addl    %edi, %eax
        movl    %eax, structures(%si)
        popw    %bx
        ret

start_device:                                   # ZF: it does with VERSION_1 alone, and has the queue
        movl    common, %esi
        movb    $0, %fs:STATUS(%esi)
        movb    $3, %fs:STATUS(%esi)
        movl    $1, %fs:FEATURE_SELECT(%esi)
        movl    $1, %fs:FEATURES(%esi)
        movl    $0, %fs:FEATURE_SELECT(%esi)
        movl    $0, %fs:FEATURES(%esi)
        movb    $0x0b, %fs:STATUS(%esi)
        cmpb    $0x0b, %fs:STATUS(%esi)
        jne     1f
        movw    $DESCRIPTORS, %di
        xorw    %ax, %ax
        movw    $0x200, %cx
        rep stosw
        movl    $BUFFER, DESCRIPTORS
        movl    $BUFFER_BYTES, DESCRIPTORS + 8
        movw    $2, DESCRIPTORS + 12      # the device writes it
        movw    $8, %fs:QUEUE_SIZE(%esi)
        movl    $DESCRIPTORS, %fs:QUEUE_DESCRIPTORS(%esi)
        movl    $0, %fs:QUEUE_DESCRIPTORS + 4(%esi)
        movl    $AVAILABLE, %fs:QUEUE_AVAILABLE(%esi)
        movl    $0, %fs:QUEUE_AVAILABLE + 4(%esi)
        movl    $USED, %fs:QUEUE_USED(%esi)
        movl    $0, %fs:QUEUE_USED + 4(%esi)
        movw    $1, %fs:QUEUE_ENABLE(%esi)
        movzwl  %fs:QUEUE_NOTIFY(%esi), %eax
        imull   multiplier, %eax
        addl    %eax, notify
        movb    $0x0f, %fs:STATUS(%esi)
        cmpb    $0x0f, %fs:STATUS(%esi)
1:      ret

request:                                        # ask for bytes; ZF: they came within two seconds, all of them
        incw    AVAILABLE + 2
        movl    notify, %eax
        movw    $0, %fs:(%eax)
        movw    0x46c, %ax
        addw    $36, %ax
1:      movw    USED + 2, %cx
        cmpw    AVAILABLE + 2, %cx
        je      2f
        cmpw    %ax, 0x46c
        jne     1b
        jmp     3f
2:      decw    %cx
        andl    $7, %ecx
        cmpl    $BUFFER_BYTES, USED + 8(, %ecx, 8)
3:      ret

        .balign 8
gdt:    .quad   0
        .quad   0x00cf93000000ffff              # 08h: flat data
gdt_size: .word gdt_size - gdt - 1
        .long   gdt
function:       .long   0
structures:     .long   0                       # by kind
common:         .long   0
notify:         .long   0
isr:            .long   0
multiplier:     .long   0
msi:            .byte   0
came:           .byte   0
strays:         .byte   0
