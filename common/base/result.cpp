#include "common/base/result.hpp"

namespace axle {

const char* name_of(Code code) {
    switch (code) {
        case Code::malformed:
            return "malformed";
        case Code::unauthenticated:
            return "unauthenticated";
        case Code::forbidden:
            return "forbidden";
        case Code::not_found:
            return "not-found";
        case Code::conflict:
            return "conflict";
        case Code::busy:
            return "busy";
        case Code::gone:
            return "gone";
        case Code::precondition:
            return "precondition-failed";
        case Code::too_large:
            return "too-large";
        case Code::invalid:
            return "invalid";
        case Code::quota:
            return "quota-exceeded";
        case Code::exhausted:
            return "too-many-requests";
        case Code::no_space:
            return "no-space";
        case Code::unavailable:
            return "unavailable";
        case Code::timeout:
            return "timeout";
        case Code::corrupt:
            return "corrupt";
        case Code::internal:
            return "internal";
    }
    return "internal";
}

}  // namespace axle
