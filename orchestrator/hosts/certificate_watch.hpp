// The hourly look at the authority and at what the port shows: certificates end one day, and addresses come and go.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "orchestrator/hosts/authority.hpp"

namespace axle {

class CertificateWatch {
  public:
    struct Seams {
        Clock& clock;    // timers of the loop that looks; wall() is asked from any thread
        Executor& loop;  // the same loop
        std::function<bool(std::function<void()>)> work;  // runs a job that blocks, elsewhere; false: it takes none now
        std::function<Result<>()> show;                   // the port shows what the files hold now; any thread
    };
    static constexpr milliseconds kEvery{3'600'000};

    // names: as of Authority::server_certificate. The authority, what stands behind the seams and this outlive the
    // loop.
    CertificateWatch(Authority& authority, std::vector<std::string> names, Seams seams);
    CertificateWatch(const CertificateWatch&) = delete;
    CertificateWatch& operator=(const CertificateWatch&) = delete;

    // On the loop. The first look is an hour from now; whatever a look comes to, the next is an hour after it. No two
    // run at once.
    void start();

  private:
    void look();  // where jobs run

    Authority& authority_;
    const std::vector<std::string> names_;
    const Seams seams_;
    bool unseen_ = false;  // files were renewed, and the port doesn't show them yet; of the look alone
};

}  // namespace axle
