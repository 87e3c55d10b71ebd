// What a service tells the service manager (sd_notify). Without one every call does nothing. Any thread.
#pragma once

namespace axle {

void tell_ready();
void tell_stopping();
void tell_alive();  // the watchdog's sign of life

}  // namespace axle
