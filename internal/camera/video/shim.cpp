#include "shim.h"

#include "guard.h"

#include <cstdarg>
#include <cstdio>
#include <dlfcn.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <opencv2/videoio.hpp>

namespace {

// What FFmpeg has against what this thread asked for: its first error is the cause.
thread_local std::string complaint;

const int worst_to_tell = 16; // AV_LOG_ERROR

void hear(void *, int level, const char *format, va_list values) {
    char line[512];
    if (level <= worst_to_tell && complaint.empty() && vsnprintf(line, sizeof line, format, values) > 0) {
        complaint = line;
        complaint.erase(complaint.find_last_not_of(" \n") + 1);
    }
}

// FFmpeg would print addresses with passwords. It is loaded with OpenCV, which does not
// need its headers.
bool listen() {
    typedef void (*set_callback)(void (*)(void *, int, const char *, va_list));
    if (set_callback set = reinterpret_cast<set_callback>(dlsym(RTLD_DEFAULT, "av_log_set_callback"))) {
        set(hear);
    }
    return true;
}

}  // namespace

char *video_open(const char *name, int reader, int limit, int packets, void **capture) {
    return guard([&] {
        static bool listening = listen();
        (void)listening;
        complaint.clear();
        std::vector<int> params;
        if (limit > 0) {
            params = {cv::CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv::CAP_PROP_READ_TIMEOUT_MSEC, limit};
        }
        std::unique_ptr<cv::VideoCapture> c(new cv::VideoCapture());
        if (!c->open(name, reader, params)) {
            throw std::runtime_error("OpenCV cannot open it" + (complaint.empty() ? "" : " (" + complaint + ")"));
        }
        c->set(cv::CAP_PROP_ORIENTATION_AUTO, 0);
        if (packets && !c->set(cv::CAP_PROP_FORMAT, -1)) {
            throw std::runtime_error("OpenCV cannot read it undecoded");
        }
        *capture = c.release();
    });
}

char *video_close(void *capture) {
    return guard([&] { delete static_cast<cv::VideoCapture *>(capture); });
}

char *video_read(void *capture, void *mat) {
    return guard([&] { static_cast<cv::VideoCapture *>(capture)->read(*static_cast<cv::Mat *>(mat)); });
}

char *video_get(void *capture, int property, double *value) {
    return guard([&] { *value = static_cast<cv::VideoCapture *>(capture)->get(property); });
}
