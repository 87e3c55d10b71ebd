// The importer of images of orchestrator/images, as the core's seam.
#pragma once
#include <memory>
#include <string>

#include "common/base/clock.hpp"
#include "orchestrator/core/importer.hpp"

namespace axle {

Result<std::unique_ptr<Importer>> make_image_importer(const std::string& state_directory, Executor& core);

}  // namespace axle
