#include "orchestrator/hosts/certificate_watch.hpp"

#include "common/base/log.hpp"

namespace axle {

CertificateWatch::CertificateWatch(Authority& authority, std::vector<std::string> names, Seams seams)
    : authority_(authority), names_(std::move(names)), seams_(std::move(seams)) {}

void CertificateWatch::start() {
    seams_.clock.after(kEvery, [this] {
        const bool taken = seams_.work([this] {
            look();
            seams_.loop.post([this] { start(); });
        });
        if (taken) return;
        log::warning("the server's certificate was not looked at: the workers are busy");
        start();
    });
}

// The authority first: what it can't hand over now is handed over later, and signs until then.
void CertificateWatch::look() {
    if (const auto renewed = authority_.renew(seams_.clock.wall()); !renewed)
        log::error("the cluster's authority was not looked after: " + renewed.error().message);
    const auto files = authority_.server_certificate(names_, seams_.clock.wall());
    if (!files) return log::error("the server's certificate can't be renewed: " + files.error().message);
    unseen_ = unseen_ || files->renewed;
    if (!unseen_) return;
    if (const auto shown = seams_.show(); !shown)
        return log::error("the renewed certificate of the server can't be used: " + shown.error().message);
    unseen_ = false;
    log::info("the server's certificate was renewed; the SHA-256 fingerprint of its authority is " +
              authority_.fingerprint(seams_.clock.wall()));
}

}  // namespace axle
