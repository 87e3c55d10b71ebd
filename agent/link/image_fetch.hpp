// Images from the orchestrator, over HTTPS with the host's certificate.
#pragma once
#include "agent/link/identity.hpp"
#include "agent/storage/image_source.hpp"

namespace axle {

// An ImageFetcher for this identity. Code::forbidden: nothing that is placed on this host is made from the image.
Result<> fetch_from_orchestrator(const HostIdentity& identity, const ImageFetch& wish);

}  // namespace axle
