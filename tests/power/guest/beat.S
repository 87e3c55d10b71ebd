# A guest of one sector that counts on its disk, and tells on the serial line what the disk has acknowledged.
#
# A BIOS does not negotiate VIRTIO_BLK_F_FLUSH, so by virtio's rules QEMU flushes each of its writes before it says that
# the write is done: what int 13h has acknowledged is synced. A beat writes record N into a cluster of its own (which
# qcow2 has to allocate), then N into sector 1, then says "#N." on the serial line. At boot the guest reads N and the
# last 64 records before it: "boot N ok." or "boot N hole." with fewer than that.
        .code16
        .globl _start
_start: ljmp $0, $begin
begin:  xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7c00, %sp
        sti
        movb %dl, drive

        # COM1: 115200, 8 bits, no parity.
        mov $0x00e3, %ax
        xor %dx, %dx
        int $0x14

        # The last number, and the records up to it.
        movl $1, sector
        call read
        movl buffer, %ebx
        movl %ebx, number
        mov $64, %bp
check:  test %ebx, %ebx
        jz sound
        call place
        call read
        cmpl %ebx, buffer
        jne hole
        dec %ebx
        dec %bp
        jnz check
sound:  mov $said_ok, %di
        jmp tell
hole:   mov $said_hole, %di
tell:   mov $said_boot, %si
        call print
        call print_number
        mov %di, %si
        call print

beat:   incl number
        movl number, %ebx
        call place
        call fill
        call write
        movl $1, sector
        call fill
        call write
        mov $'#', %al
        call put
        call print_number
        mov $'.', %al
        call put
        mov $18, %cx            # a second of the clock's ticks: an emulated node has other things to do, too
pause:  hlt
        loop pause
        jmp beat

# The sector of record %ebx: 128 sectors apart, from 128 on, 1024 of them.
place:  movl %ebx, %eax
        andl $1023, %eax
        incl %eax
        shll $7, %eax
        movl %eax, sector
        ret

fill:   push %di
        mov $buffer, %di
        mov $128, %cx
        movl %ebx, %eax
        rep stosl
        pop %di
        ret

read:   mov $0x42, %ah
        jmp disk
write:  mov $0x4300, %ax
disk:   mov $packet, %si
        movb drive, %dl
        int $0x13
        jc broken
        ret
broken: mov $said_broken, %si
        call print
stop:   hlt
        jmp stop

print:  lodsb
        test %al, %al
        jz done
        call put
        jmp print
put:    push %dx
        mov $1, %ah
        xor %dx, %dx
        int $0x14
        pop %dx
done:   ret

print_number:
        movl number, %eax
        movl $10, %ecx
        push $0
digit:  xorl %edx, %edx
        divl %ecx
        add $'0', %dl
        push %dx
        test %eax, %eax
        jnz digit
next:   pop %ax
        test %al, %al
        jz done
        call put
        jmp next

said_boot:   .asciz "\r\nboot "
said_ok:     .asciz " ok.\r\n"
said_hole:   .asciz " hole.\r\n"
said_broken: .asciz "\r\ndisk error.\r\n"
drive:  .byte 0
        .balign 4
packet: .byte 16, 0
        .word 1
        .word buffer, 0
sector: .long 0, 0
        .org 510
        .word 0xaa55

        .set buffer, 0x8000
        .set number, 0x9000
