// Guests of 512 bytes: what a guest can do to its hypervisor, without an operating system. Real mode; q35's ACPI
// registers stand where SeaBIOS puts them (0x600: PM1 status, 0x602: enable, 0x604: control).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace axle::test {

enum class Guest { deaf, obeys, leaves, panics };

inline std::string boot_sector(Guest guest) {
    using Bytes = std::vector<std::uint8_t>;
    const Bytes say = {0xba, 0xf8, 0x03, 0xb0, 'B', 0xee};  // mov dx,0x3f8; mov al,'B'; out dx,al: on the serial line
    const Bytes off = {0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef};  // mov dx,0x604; mov ax,0x2000; out dx,ax: S5
    const Bytes halt = {0xfa, 0xf4, 0xeb, 0xfd};                   // cli; hlt; jmp to the hlt
    const Bytes panic = {0xba, 0x05, 0x05, 0xb0, 0x01, 0xee};      // mov dx,0x505; mov al,1; out dx,al: pvpanic
    const Bytes wait = {
        0xba, 0x02, 0x06, 0xb8, 0x00, 0x01, 0xef,  // mov dx,0x602; mov ax,0x100; out dx,ax: enable the button
        0xba, 0x00, 0x06,                          // mov dx,0x600
        0xfb, 0xf4, 0xed, 0xf6, 0xc4, 0x01,        // sti; hlt: until the timer ticks; in ax,dx; test ah,1
        0x74, 0xf8,                                // jz back to the sti
    };
    Bytes code = say;
    const auto add = [&code](const Bytes& more) { code.insert(code.end(), more.begin(), more.end()); };
    if (guest == Guest::obeys) add(wait);
    if (guest == Guest::obeys || guest == Guest::leaves) add(off);
    if (guest == Guest::panics) add(panic);
    add(halt);
    std::string sector(code.begin(), code.end());
    sector.resize(510, '\0');
    sector += "\x55\xaa";
    sector.resize(1 << 20, '\0');  // SeaBIOS boots from no disk of less than a cylinder
    return sector;
}

}  // namespace axle::test
