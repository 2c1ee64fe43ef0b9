# Several processors without an operating system: tables, starts, locks, interprocessor interrupts, timers, idling.
#
# The byte at 508 of the boot sector is the number of processors that there must be. The first processor runs `main` in
# 32-bit protected mode; the others are started at `trampoline` and wait for routines (`everyone`). What a processor
# knows of itself lies in its 256 bytes at OWN; `bad` counts what any of them found wrong.
# Sources: MultiProcessor Specification 1.4; ACPI 6.5, section 5.2; Intel SDM volume 3, chapters 9 and 11.

        .include "sixteen.inc"

        .set    IDT, 0x1f000
        .set    OWN, 0x20000
        .set    STACKS, 0x30000
        .set    DIRECTORY, 0x40000
        .set    TABLE, 0x41000
        .set    FIRST_PAGE, 0x50000
        .set    SECOND_PAGE, 0x51000
        .set    MOVED, 0x3ff000                 # the address that is mapped to one page, then to the other

        .set    OWN_TIMER, 0                    # timer interrupts
        .set    OWN_IPI, 4                      # vector IPI
        .set    OWN_NMI, 8
        .set    OWN_STARTS, 12
        .set    OWN_SHOT, 16                    # vector SHOOTDOWN
        .set    OWN_LOWEST, 20                  # vector LOWEST
        .set    OWN_EXTENDED, 24                # vectors EXTENDED and NEIGHBOUR

        .set    IPI, 0x40
        .set    SHOOTDOWN, 0x41
        .set    TIMER, 0x42
        .set    LOWEST, 0x43
        .set    LEVEL, 0x44
        .set    WAKE, 0x45
        .set    EXTENDED, 0x46
        .set    NEIGHBOUR, 0x47
        .set    SPURIOUS, 0xff

        .set    LAPIC, 0xfee00000
        .set    ID, LAPIC + 0x20
        .set    TPR, LAPIC + 0x80
        .set    PPR, LAPIC + 0xa0
        .set    EOI, LAPIC + 0xb0
        .set    LDR, LAPIC + 0xd0
        .set    DFR, LAPIC + 0xe0
        .set    SVR, LAPIC + 0xf0
        .set    TMR_40, LAPIC + 0x1a0           # vectors 40h to 5Fh
        .set    IRR_40, LAPIC + 0x220
        .set    ICR, LAPIC + 0x300
        .set    ICR_DESTINATION, LAPIC + 0x310
        .set    LVT_TIMER, LAPIC + 0x320
        .set    INITIAL_COUNT, LAPIC + 0x380
        .set    CURRENT_COUNT, LAPIC + 0x390
        .set    DIVIDE, LAPIC + 0x3e0
        .set    IOREGSEL, 0xfec00000
        .set    IOWIN, 0xfec00010

        .set    ICR_NMI, 0x4400
        .set    ICR_INIT, 0x4500
        .set    ICR_STARTUP, 0x4600 | trampoline_page
        .set    LOGICAL, 0x800
        .set    SELF, 0x40000
        .set    ALL, 0x80000
        .set    OTHERS, 0xc0000
        .set    trampoline_page, 0x08

main:   cli
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x08, $main_32

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff              # 08h: flat code
        .quad   0x00cf93000000ffff              # 10h: flat data
gdt_size: .word gdt_size - gdt - 1
        .long   gdt
idt_size: .word 0x7ff
        .long   IDT

# Where a start-up message leads: real mode, CS = 0800h, IP = 0.
        .org    0x400
trampoline:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtl   gdt_size
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x08, $ap_32

        .code32
# Report the condition \cond of the flags as the check \text; the first processor only.
        .macro  verify cond:req, text:req
        set\cond passed
        call    report_32
        .asciz  "\text"
        .endm

report_32:
        pushal
        movl    32(%esp), %ebp                  # the text behind the call
        movl    $word_bad_32, %esi
        cmpb    $0, passed
        je      1f
        movl    $word_ok_32, %esi
        decb    failures
1:      incb    failures
        call    write_32
        movl    %ebp, %esi
        call    write_32
        movl    %esi, 32(%esp)
        movl    $line_end_32, %esi
        call    write_32
        popal
        ret
word_ok_32: .asciz "ok "
word_bad_32: .asciz "BAD "
line_end_32: .asciz "\r\n"

# Send the text at ESI to COM1; ESI ends behind its NUL.
write_32:
        lodsb
        testb   %al, %al
        jz      2f
        movb    %al, %ah
        movw    $LINE_STATUS, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        movb    %ah, %al
        movw    $COM1, %dx
        outb    %al, %dx
        jmp     write_32
2:      ret

# EDI: this processor's own bytes; EBX: its number.
who:    movl    ID, %ebx
        shrl    $24, %ebx
        movl    %ebx, %edi
        shll    $8, %edi
        addl    $OWN, %edi
        ret

# Let the other processors call \routine; `finished` waits for their ends.
        .macro  others routine:req
        movl    $\routine, routine
        movl    $0, done
        incl    phase
        .endm

        .macro  everyone routine:req
        others  \routine
        call    \routine
        call    finished
        .endm

finished:
        movl    expected, %eax
        decl    %eax
1:      pause
        cmpl    %eax, done
        jne     1b
        ret

# Find nothing wrong anywhere, and report that.
        .macro  sound text:req
        cmpl    $0, bad
        verify  e, "\text"
        movl    $0, bad
        .endm

# Wait EAX milliseconds, at most 50, by counter 2 of the 8254 in mode 0.
delay:  pushal
        imull   $1193, %eax, %ecx
        inb     $0x61, %al
        andb    $0xfc, %al
        orb     $1, %al
        outb    %al, $0x61
        movb    $0xb0, %al
        outb    %al, $0x43
        movb    %cl, %al
        outb    %al, $0x42
        movb    %ch, %al
        outb    %al, $0x42
1:      inb     $0x61, %al
        testb   $0x20, %al
        jz      1b
        popal
        ret

# Write \value to register \index of the I/O APIC.
        .macro  ioapic index:req, value:req
        movl    $\index, IOREGSEL
        movl    $\value, IOWIN
        .endm

ap_32:  movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    ID, %ebx
        shrl    $24, %ebx
        movl    %ebx, %eax
        shll    $12, %eax
        leal    STACKS + 0x1000(%eax), %esp
        call    who
        lidtl   idt_size
        movl    $0x100 | SPURIOUS, SVR
        movl    phase, %ebp
        incl    OWN_STARTS(%edi)
        lock incl started
1:      pause
        cmpl    %ebp, phase
        je      1b
        movl    phase, %ebp
        pushl   %ebp
        call    *routine
        popl    %ebp
        lock incl done
        jmp     1b

main_32:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $STACKS + 0x1000, %esp
        movzbl  0x7c00 + 508, %eax
        movl    %eax, expected
        movb    $0xff, %al                      # the 8259 pair: everything masked
        outb    %al, $0x21
        outb    %al, $0xa1
        call    set_up_idt
        lidtl   idt_size
        movl    $0x100 | SPURIOUS, SVR
        movl    $OWN, %edi
        movl    $0x4000, %ecx
        xorl    %eax, %eax
        rep stosl

        call    tables
        call    start_each
        call    start_again
        call    locks
        call    messages
        call    priorities
        call    shootdown
        call    patches
        call    timers
        call    lowest_priority
        call    level
        call    extended
        call    idle
        cmpl    $0, strays
        verify  e, "no interrupt came that was not asked for"
        movw    $DEBUG_EXIT, %dx
        movb    failures, %al
        outb    %al, %dx
        cli
        hlt

# --- interrupts --------------------------------------------------------------------------------------------------

# The gate of vector \vector leads to \handler.
        .macro  gate_32 vector:req, handler:req
        movl    $\handler, IDT + (\vector) * 8
        movw    $0x08, IDT + (\vector) * 8 + 2
        movl    $0x8e00, IDT + (\vector) * 8 + 4
        .endm

set_up_idt:
        movl    $IDT, %edi
        movl    $256, %ecx
1:      movl    $0x00080000 + unexpected, (%edi)
        movl    $0x8e00, 4(%edi)
        addl    $8, %edi
        loop    1b
        gate_32 2, nmi_handler
        gate_32 IPI, ipi_handler
        gate_32 SHOOTDOWN, shootdown_handler
        gate_32 TIMER, timer_handler
        gate_32 LOWEST, lowest_handler
        gate_32 LEVEL, level_handler
        gate_32 WAKE, wake_handler
        gate_32 EXTENDED, extended_handler
        gate_32 NEIGHBOUR, extended_handler
        ret

unexpected:
        lock incl strays
        movl    $0, EOI
        iret

        .macro  counting name:req, field:req
\name:  pushal
        call    who
        incl    \field(%edi)
        movl    $0, EOI
        popal
        iret
        .endm

        counting ipi_handler, OWN_IPI
        counting timer_handler, OWN_TIMER

nmi_handler:
        pushal
        call    who
        incl    OWN_NMI(%edi)
        popal
        iret

lowest_handler:
        pushal
        call    who
        incl    OWN_LOWEST(%edi)
        movl    $1, lowest_came
        movl    $0, EOI
        popal
        iret

shootdown_handler:
        pushal
        call    who
        invlpg  MOVED
        incl    OWN_SHOT(%edi)
        movl    $0, EOI
        popal
        iret

wake_handler:
        movl    $0, EOI
        iret

# In x2APIC mode the id and the end of interrupt are model-specific registers.
extended_handler:
        pushal
        movl    $0x802, %ecx
        rdmsr
        shll    $8, %eax
        incl    OWN + OWN_EXTENDED(%eax)
        movl    $0x80b, %ecx
        xorl    %eax, %eax
        xorl    %edx, %edx
        wrmsr
        popal
        iret

# Send the command \command to the destination field \destination.
        .macro  send command:req, destination=0
        movl    $(\destination) << 24, ICR_DESTINATION
        movl    $\command, ICR
        .endm

# Count the processors' field \field that are not as the mask \mask says: 1 where the bit of the number is set, else 0;
# and clear the fields.
        .macro  expect_ones mask:req, field:req
        movl    \mask, %eax
        movl    $\field, %edx
        call    compare_ones
        .endm

compare_ones:
        addl    $OWN, %edx
        movl    expected, %ecx
1:      movl    %eax, %ebx
        andl    $1, %ebx
        cmpl    %ebx, (%edx)
        je      2f
        lock incl bad
2:      movl    $0, (%edx)
        addl    $0x100, %edx
        shrl    $1, %eax
        loop    1b
        ret

# --- tables ------------------------------------------------------------------------------------------------------

# Find the text of EAX:EDX ("low half, high half") in paragraphs from ESI to EDI; ESI: where, CF: nowhere.
find:   cmpl    %edi, %esi
        jae     2f
        cmpl    %eax, (%esi)
        jne     1f
        testl   %edx, %edx
        jz      3f
        cmpl    %edx, 4(%esi)
        je      3f
1:      addl    $16, %esi
        jmp     find
2:      stc
        ret
3:      clc
        ret

# ZF: the ECX bytes at ESI sum to 0.
sum_32: pushl   %esi
        xorl    %eax, %eax
1:      addb    (%esi), %al
        incl    %esi
        loop    1b
        popl    %esi
        testb   %al, %al
        ret

tables: movzwl  0x40e, %esi                     # the first KiB of the extended BIOS data area, then the BIOS
        shll    $4, %esi
        leal    0x400(%esi), %edi
        movl    $0x5f504d5f, %eax               # "_MP_"
        xorl    %edx, %edx
        call    find
        jnc     1f
        movl    $0xf0000, %esi
        movl    $0x100000, %edi
        call    find
1:      verify  nc, "MP: the floating pointer is found"
        movl    $16, %ecx
        call    sum_32
        verify  e, "MP: the floating pointer sums to 0"
        movl    4(%esi), %esi
        cmpl    $0x504d4350, (%esi)             # "PCMP"
        verify  e, "MP: it leads to the configuration table"
        movzwl  4(%esi), %ecx
        call    sum_32
        verify  e, "MP: the configuration table sums to 0"
        movl    36(%esi), %eax
        movl    %eax, mp_lapic
        movzwl  34(%esi), %ecx
        addl    $44, %esi
2:      cmpb    $0, (%esi)
        jne     3f
        movzbl  1(%esi), %eax
        btsl    %eax, mp_processors
        addl    $20, %esi
        jmp     5f
3:      cmpb    $2, (%esi)
        jne     4f
        movl    4(%esi), %eax
        movl    %eax, mp_ioapic
4:      addl    $8, %esi
5:      loop    2b

        movl    $0xe0000, %esi
        movl    $0x100000, %edi
        movl    $0x20445352, %eax               # "RSD PTR "
        movl    $0x20525450, %edx
        call    find
        verify  nc, "ACPI: the root pointer is found"
        movl    16(%esi), %esi
        movl    4(%esi), %ecx
        subl    $36, %ecx
        shrl    $2, %ecx
        addl    $36, %esi
6:      lodsl
        cmpl    $0x43495041, (%eax)             # "APIC"
        loopne  6b
        verify  e, "ACPI: the root table lists the MADT"
        movl    36(%eax), %edx
        movl    %edx, acpi_lapic
        movl    4(%eax), %edi
        addl    %eax, %edi
        leal    44(%eax), %esi
7:      cmpb    $0, (%esi)
        jne     8f
        testb   $1, 4(%esi)
        jz      9f
        movzbl  3(%esi), %eax
        btsl    %eax, acpi_processors
8:      cmpb    $1, (%esi)
        jne     9f
        movl    4(%esi), %eax
        movl    %eax, acpi_ioapic
9:      movzbl  1(%esi), %eax
        addl    %eax, %esi
        cmpl    %edi, %esi
        jb      7b

        movl    expected, %ecx
        movl    $1, %eax
        shll    %cl, %eax
        decl    %eax
        movl    %eax, everybody
        cmpl    %eax, mp_processors
        verify  e, "MP: every processor is listed"
        cmpl    %eax, acpi_processors
        verify  e, "ACPI: every processor is listed"
        movl    mp_lapic, %eax
        cmpl    %eax, acpi_lapic
        verify  e, "MP and ACPI agree on the local APIC"
        movl    mp_ioapic, %eax
        cmpl    %eax, acpi_ioapic
        verify  e, "MP and ACPI agree on the I/O APIC"
        ret

# --- starts ------------------------------------------------------------------------------------------------------

# Wait until EAX processors have started.
await_starts:
        pause
        cmpl    %eax, started
        jb      await_starts
        ret

# The universal algorithm, one processor after the other; the second start-up message starts nothing.
start_each:
        movb    $0x0f, %al                      # warm reset: shutdown code 0Ah, vector at 40:67
        outb    %al, $0x70
        movb    $0x0a, %al
        outb    %al, $0x71
        movw    $0, 0x467
        movw    $trampoline_page << 8, 0x469
        movl    $1, %ebp
1:      cmpl    expected, %ebp
        jae     2f
        movl    %ebp, %ecx
        shll    $24, %ecx
        movl    %ecx, ICR_DESTINATION
        movl    $ICR_INIT | 0x8000, ICR
        movl    %ecx, ICR_DESTINATION
        movl    $0x8500, ICR                    # the old de-assertion
        movl    $2, %eax
        call    delay
        movl    %ecx, ICR_DESTINATION
        movl    $ICR_STARTUP, ICR
        movl    $1, %eax
        call    delay
        movl    %ecx, ICR_DESTINATION
        movl    $ICR_STARTUP, ICR
        movl    %ebp, %eax
        call    await_starts
        incl    %ebp
        jmp     1b
2:      movl    $1, %eax
        call    delay
        movl    everybody, %eax
        andl    $~1, %eax
        movl    $OWN_STARTS, %edx
        call    compare_ones
        sound   "each processor starts once, one after the other"
        ret

# INIT reaches processors at work, and all at once.
start_again:
        movl    $0, started
        send    ICR_INIT | OTHERS
        others  flat_ids
        movl    $2, %eax
        call    delay
        cmpl    $0, done
        verify  e, "INIT stops the others"
        send    ICR_STARTUP | OTHERS
        movl    expected, %eax
        decl    %eax
        call    await_starts
        send    ICR_STARTUP | OTHERS
        movl    $1, %eax
        call    delay
        movl    everybody, %eax
        andl    $~1, %eax
        movl    $OWN_STARTS, %edx
        call    compare_ones
        sound   "all start again by one message"
        ret

# --- locks -------------------------------------------------------------------------------------------------------

        .set    ROUNDS, 4000

locks:  everyone count_up
        movl    expected, %eax
        imull   $ROUNDS, %eax
        cmpl    %eax, locked_count
        verify  e, "locked increments are all there"
        cmpl    %eax, guarded_count
        verify  e, "a spin lock keeps a counter whole"
        cmpl    %eax, ticket_count
        verify  e, "a ticket lock keeps a counter whole"
        cmpl    %eax, compared_count
        verify  e, "compare and exchange loses nothing"
        ret

count_up:
        movl    $ROUNDS, %ecx
1:      lock incl locked_count
2:      movl    $1, %eax
        xchgl   %eax, spin_lock                 # without PAUSE, as old systems spin
        testl   %eax, %eax
        jnz     2b
        incl    guarded_count
        movl    $0, spin_lock
        movl    $1, %eax
        lock xaddl %eax, next_ticket
3:      pause
        cmpl    %eax, now_serving
        jne     3b
        incl    ticket_count
        incl    now_serving
        movl    compared_count, %eax
4:      leal    1(%eax), %edx
        lock cmpxchgl %edx, compared_count
        jne     4b
        loop    1b
        ret

# --- messages ----------------------------------------------------------------------------------------------------

# Take interrupts until the first processor says `stop`.
listen: sti
1:      pause
        cmpl    $0, stop
        je      1b
        cli
        ret

# Let the others listen while the first processor calls \sender.
        .macro  heard sender:req
        movl    $0, stop
        others  listen
        sti
        call    \sender
        movl    $1, %eax
        call    delay
        cli
        movl    $1, stop
        call    finished
        .endm

messages:
        everyone flat_ids
        heard   send_physical
        expect_ones everybody, OWN_IPI
        sound   "physical destinations reach one processor each"
        heard   send_logical
        movl    everybody, %eax
        andl    $0xaa, %eax
        movl    $OWN_IPI, %edx
        call    compare_ones
        sound   "flat logical destinations reach a set"
        heard   send_all
        expect_ones everybody, OWN_IPI
        sound   "the shorthand for all reaches the sender too"
        heard   send_others
        movl    everybody, %eax
        andl    $~1, %eax
        movl    $OWN_IPI, %edx
        call    compare_ones
        sound   "the shorthand for the others does not"
        heard   send_nmi
        movl    everybody, %eax
        andl    $~1, %eax
        movl    $OWN_NMI, %edx
        call    compare_ones
        sound   "NMI reaches the others"
        everyone cluster_ids
        heard   send_cluster
        movl    everybody, %eax
        andl    $0x20, %eax
        movl    $OWN_IPI, %edx
        call    compare_ones
        sound   "cluster destinations reach one of a cluster"
        everyone flat_ids
        ret

flat_ids:
        call    who
        movl    %ebx, %ecx
        movl    $0x01000000, %eax
        shll    %cl, %eax
        movl    $0xffffffff, DFR
        movl    %eax, LDR
        ret

cluster_ids:
        call    who
        movl    %ebx, %ecx
        andb    $3, %cl
        movl    $1, %eax
        shll    %cl, %eax
        shrl    $2, %ebx
        shll    $4, %ebx
        orl     %ebx, %eax
        shll    $24, %eax
        movl    $0x0fffffff, DFR
        movl    %eax, LDR
        ret

send_physical:
        xorl    %ebp, %ebp
1:      movl    %ebp, %eax
        shll    $24, %eax
        movl    %eax, ICR_DESTINATION
        movl    $IPI, ICR
2:      testl   $0x1000, ICR
        jnz     2b
        incl    %ebp
        cmpl    expected, %ebp
        jb      1b
        ret
send_logical:
        send    LOGICAL | IPI, 0xaa
        ret
send_all:
        send    ALL | IPI
        ret
send_others:
        send    OTHERS | IPI
        ret
send_nmi:
        send    OTHERS | ICR_NMI
        ret
send_cluster:
        send    LOGICAL | IPI, 0x12
        ret

# --- priorities --------------------------------------------------------------------------------------------------

# Each by itself: task priority holds a class back, and its request waits.
priorities:
        everyone hold_back
        sound   "task priority holds back its class and the request waits"
        movl    everybody, %eax
        movl    $OWN_IPI, %edx
        call    compare_ones
        sound   "what was held back comes once"
        ret

hold_back:
        call    who
        movl    $0x4f, TPR
        movl    $SELF | IPI, ICR
        sti
        nop
        nop
        cli
        cmpl    $0, OWN_IPI(%edi)
        je      1f
        lock incl bad
1:      testl   $1 << (IPI & 31), IRR_40
        jnz     2f
        lock incl bad
2:      cmpl    $0x4f, PPR
        je      3f
        lock incl bad
3:      movl    $0, TPR
        sti
        nop
        nop
        cli
        testl   $1 << (IPI & 31), IRR_40
        jz      4f
        lock incl bad
4:      ret

# --- memory ------------------------------------------------------------------------------------------------------

# One address moves from page to page under processors that have used it.
shootdown:
        movl    $DIRECTORY, %edi
        movl    $0x400, %ecx
        xorl    %eax, %eax
        rep stosl
        movl    $TABLE | 3, DIRECTORY
        movl    $0xfec00093, DIRECTORY + 0x3fb * 4      # 4 MiB, not cached: both kinds of APIC
        movl    $0x003, %eax
        movl    $TABLE, %edi
        movl    $0x400, %ecx
1:      stosl
        addl    $0x1000, %eax
        loop    1b
        movl    $FIRST_PAGE | 3, TABLE + (MOVED >> 12) * 4
        movl    $0x11111111, FIRST_PAGE
        movl    $0x22222222, SECOND_PAGE
        everyone turn_paging_on
        others  see_both
2:      pause
        movl    expected, %eax
        decl    %eax
        cmpl    %eax, saw_first
        jne     2b
        movl    $SECOND_PAGE | 3, TABLE + (MOVED >> 12) * 4
        invlpg  MOVED
        send    OTHERS | SHOOTDOWN
        call    finished
        sound   "a page that moved is seen after its message"
        movl    everybody, %eax
        andl    $~1, %eax
        movl    $OWN_SHOT, %edx
        call    compare_ones
        sound   "each was told once"
        ret

turn_paging_on:
        movl    %cr4, %eax
        orb     $0x10, %al
        movl    %eax, %cr4
        movl    $DIRECTORY, %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ret

see_both:
        call    who
        cmpl    $0x11111111, MOVED
        je      1f
        lock incl bad
1:      lock incl saw_first
        sti
2:      pause
        cmpl    $0, OWN_SHOT(%edi)
        je      2b
        cli
        cmpl    $0x22222222, MOVED
        je      3f
        lock incl bad
3:      ret

# Code that one processor writes and all call, with a serializing instruction between (SDM 9.1.3).
patches:
        movl    $200, patch_rounds
1:      incl    patched + 1
        everyone call_patched
        decl    patch_rounds
        jnz     1b
        sound   "patched code is called by all as it was written last"
        ret

call_patched:
        xorl    %eax, %eax
        cpuid
        call    patched
        cmpl    patched + 1, %eax
        je      1f
        lock incl bad
1:      ret
patched: movl   $0x1000, %eax
        ret

# --- timers ------------------------------------------------------------------------------------------------------

timers: everyone one_shot
        sound   "each timer counts down once and halts at 0"
        everyone periodic
        sound   "each periodic timer goes on"
        movl    $1, %eax
        cpuid
        btl     $24, %ecx
        jnc     1f
        everyone deadline
        sound   "each deadline interrupts once and disarms"
1:      ret

# Sleep until the timer has interrupted EAX times in all.
sleep_timer:
        call    who
1:      cli
        cmpl    %eax, OWN_TIMER(%edi)
        jae     2f
        sti
        hlt
        jmp     1b
2:      sti
        nop
        cli
        ret

one_shot:
        call    who
        movl    $0, OWN_TIMER(%edi)
        movl    $0xb, DIVIDE
        movl    $TIMER, LVT_TIMER
        movl    $200000, INITIAL_COUNT          # 200 us
        movl    $1, %eax
        call    sleep_timer
        cmpl    $0, CURRENT_COUNT
        je      1f
        lock incl bad
1:      cmpl    $1, OWN_TIMER(%edi)
        je      2f
        lock incl bad
2:      ret

periodic:
        call    who
        movl    $0, OWN_TIMER(%edi)
        movl    $0x3, DIVIDE                    # 16
        movl    $0x20000 | TIMER, LVT_TIMER
        movl    $12500, INITIAL_COUNT           # 200 us
        movl    $4, %eax
        call    sleep_timer
        movl    $0x10000 | TIMER, LVT_TIMER
        movl    $0, INITIAL_COUNT
        sti
        nop
        cli
        ret

deadline:
        call    who
        movl    $0, OWN_TIMER(%edi)
        movl    $0x40000 | TIMER, LVT_TIMER
        rdtsc
        addl    $400000, %eax
        adcl    $0, %edx
        movl    $0x6e0, %ecx
        wrmsr
        movl    $1, %eax
        call    sleep_timer
        movl    $0x6e0, %ecx
        rdmsr
        orl     %edx, %eax
        jz      1f
        lock incl bad
1:      cmpl    $1, OWN_TIMER(%edi)
        je      2f
        lock incl bad
2:      movl    $0x10000 | TIMER, LVT_TIMER
        ret

# --- the I/O APIC ------------------------------------------------------------------------------------------------

# The timer's interrupt goes to the one processor whose task priority is lowest: the last.
lowest_priority:
        ioapic  0x15, 0xff000000
        ioapic  0x14, 0x0900 | LOWEST           # lowest priority, logical
        everyone raise_priority
        others  wait_for_lowest
        movb    $0x30, %al                      # counter 0, mode 0: about 5 ms
        outb    %al, $0x43
        movb    $0x70, %al
        outb    %al, $0x40
        movb    $0x17, %al
        outb    %al, $0x40
        call    wait_for_lowest
        call    finished
        ioapic  0x14, 0x10000
        movl    expected, %ecx
        decl    %ecx
        movl    $1, %eax
        shll    %cl, %eax
        movl    $OWN_LOWEST, %edx
        call    compare_ones
        sound   "lowest priority goes to the readiest"
        ret

raise_priority:
        call    who
        incl    %ebx
        cmpl    expected, %ebx
        je      1f
        movl    $0x3f, TPR
1:      ret

wait_for_lowest:
        sti
1:      pause
        cmpl    $0, lowest_came
        je      1b
        cli
        movl    $0, TPR
        ret

# COM1's transmitter holds its line until its cause is read, which the handler does at the third interrupt.
level:  ioapic  0x19, 0
        ioapic  0x18, 0x8000 | LEVEL
        movw    $COM1 + 1, %dx
        movb    $2, %al
        outb    %al, %dx
        sti
1:      pause
        cmpl    $3, level_count
        jb      1b
        nop
        cli
        xorl    %eax, %eax
        movw    $COM1 + 1, %dx
        outb    %al, %dx
        cmpl    $3, level_count
        verify  e, "a level interrupts again after its end until it falls"
        movl    $0x18, IOREGSEL
        movl    IOWIN, %eax
        testl   $0x4000, %eax
        verify  z, "remote IRR falls with the last end"
        ioapic  0x18, 0x10000
        sound   "remote IRR and trigger mode show a level in service"
        ret

level_handler:
        pushal
        movl    $0x18, IOREGSEL
        movl    IOWIN, %eax
        testl   $0x4000, %eax
        jnz     1f
        lock incl bad
1:      testl   $1 << (LEVEL & 31), TMR_40
        jnz     2f
        lock incl bad
2:      incl    level_count
        cmpl    $3, level_count
        jb      3f
        movw    $COM1 + 2, %dx
        inb     %dx, %al
3:      movl    $0, EOI
        popal
        iret

# --- x2APIC ------------------------------------------------------------------------------------------------------

# There and back, on models that have it: each sends to itself and to the next.
extended:
        movl    $1, %eax
        cpuid
        btl     $21, %ecx
        jnc     1f
        everyone extend
        sound   "x2APIC: ids, messages to oneself and to the next, and back"
1:      ret

extend: call    who
        movl    $0x1b, %ecx
        rdmsr
        orl     $0xc00, %eax
        wrmsr
        movl    $0x802, %ecx
        rdmsr
        cmpl    %ebx, %eax
        je      1f
        lock incl bad
1:      movl    $0x83f, %ecx
        movl    $EXTENDED, %eax
        xorl    %edx, %edx
        wrmsr
        sti
        nop
        nop
2:      pause
        cmpl    $1, OWN_EXTENDED(%edi)
        jb      2b
        leal    1(%ebx), %edx
        cmpl    expected, %edx
        jb      3f
        xorl    %edx, %edx
3:      movl    $0x830, %ecx
        movl    $NEIGHBOUR, %eax
        wrmsr
4:      pause
        cmpl    $2, OWN_EXTENDED(%edi)
        jb      4b
        cli
        movl    $0x1b, %ecx
        rdmsr
        andl    $~0xc00, %eax
        wrmsr
        orl     $0x800, %eax
        wrmsr
        movl    $0x100 | SPURIOUS, SVR
        movl    %ebx, %eax
        call    who
        cmpl    %ebx, %eax
        je      5f
        lock incl bad
5:      ret

# --- idling ------------------------------------------------------------------------------------------------------

# All sleep for a second of the machine's time, then the first wakes the others.
idle:   others  halted
        call    who
        movl    $0, OWN_TIMER(%edi)
        movl    $0xb, DIVIDE
        movl    $TIMER, LVT_TIMER
        movl    $1000000000, INITIAL_COUNT
        movl    $1, %eax
        call    sleep_timer
        send    OTHERS | WAKE
        call    finished
        cmpl    $0, bad
        verify  e, "all sleep and wake"
        ret
halted: sti
        hlt
        cli
        ret

        .balign 4
expected: .long 0
everybody: .long 0
phase:  .long   0
routine: .long  0
done:   .long   0
started: .long  0
bad:    .long   0
strays: .long   0
stop:   .long   0
saw_first: .long 0
lowest_came: .long 0
level_count: .long 0
patch_rounds: .long 0
mp_processors: .long 0
mp_lapic: .long 0
mp_ioapic: .long 0
acpi_processors: .long 0
acpi_lapic: .long 0
acpi_ioapic: .long 0
        .balign 64
locked_count: .long 0
spin_lock: .long 0
guarded_count: .long 0
next_ticket: .long 0
now_serving: .long 0
ticket_count: .long 0
compared_count: .long 0
