#include "common/base/service_manager.hpp"

#include <systemd/sd-daemon.h>

namespace axle {

void tell_ready() {
    sd_notify(0, "READY=1");
}
void tell_stopping() {
    sd_notify(0, "STOPPING=1");
}
void tell_alive() {
    sd_notify(0, "WATCHDOG=1");
}

}  // namespace axle
