#include "agent/guest/serial_probe.hpp"

#include <doctest/doctest.h>

namespace axle::test {

TEST_CASE("how far a guest has got is what it said last") {
    struct Row {
        const char *log, *stage;
    };
    for (const Row& row :
         {Row{"", "none"}, Row{"anything", "firmware"}, Row{"SeaBIOS (version 1.16.2)\r\n", "firmware"},
          Row{"SeaBIOS\r\n[    0.000000] Linux version 6.1.0\r\n", "kernel"},
          Row{"SeaBIOS\nLinux version 6.1\n[    1.2] Run /init\nweb1 login: ", "userspace"},
          Row{"web1 login: \nSeaBIOS (version 1.16.2)\n", "firmware"},
          Row{"web1 login: \nSeaBIOS\nLinux version 6.1\n", "kernel"},
          Row{"AXLE-GUEST: kernel\nAXLE-GUEST: ready\n", "userspace"}}) {
        CAPTURE(row.log);
        CHECK(stage_in(row.log) == row.stage);
    }
}

}  // namespace axle::test
