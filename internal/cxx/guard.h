// guard has no exception leave C++: one that reaches Go ends the process. It calls f
// and returns the text of what f throws, which cxx.Error takes, or NULL.
#ifndef FACESTREAM_CXX_GUARD_H
#define FACESTREAM_CXX_GUARD_H

#include <cstring>
#include <exception>

template <typename F>
char *guard(F f) {
    try {
        f();
        return NULL;
    } catch (const std::exception &e) {
        return strdup(e.what());
    } catch (...) {
        return strdup("an exception of unknown type");
    }
}

#endif
