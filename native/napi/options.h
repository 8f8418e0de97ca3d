// The two objects of settings that JavaScript passes down, as the structures that C++ works with. Owns the pairing of
// members, one to one with EngineOptions and CodecLimits of src/native.ts; never a default or a bound. Called by the
// exported functions.
#pragma once

#include "codec/limits.h"
#include "engine/engine.h"
#include "napi/readers.h"

namespace capstan::napi {

engine::EngineOptions engineOptions(const Fields& fields);
codec::Limits codecLimits(const Fields& fields);

}  // namespace capstan::napi
