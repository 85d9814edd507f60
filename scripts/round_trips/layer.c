/* A Vulkan layer that counts what a program asks of the driver: submissions, waits, dispatches and the bytes of copies.
 *
 * A copy is up where its source is a buffer that is made to be copied from alone, and down where its target is one that is
 * made to be copied to alone: staging buffers are. The counts go to the file named by ROUND_TRIPS_OUT, or to stderr, when
 * the process ends. round_trips.sh builds and uses it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_BUFFERS 65536

static atomic_ullong submits, command_buffers, waits, polls, idles, dispatches, copies, up, down, within;

static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static VkInstance instance;
static VkDevice device;

/* Buffers by handle, with what they are for. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static VkBuffer buffers[MOST_BUFFERS];
static VkBufferUsageFlags usages[MOST_BUFFERS];

static void tell(void) {
    const char *path = getenv("ROUND_TRIPS_OUT");
    FILE *out = path ? fopen(path, "w") : stderr;
    if (!out) return;
    fprintf(out,
            "submits %llu\ncommand_buffers %llu\nwaits %llu\npolls %llu\nidles %llu\ndispatches %llu\ncopies %llu\nup %llu\n"
            "down %llu\nwithin %llu\n",
            submits, command_buffers, waits, polls, idles, dispatches, copies, up, down, within);
    if (path) fclose(out);
}

static size_t place_of(VkBuffer buffer) {
    size_t at = ((uintptr_t)buffer * 0x9e3779b97f4a7c15ull >> 40) % MOST_BUFFERS;
    for (size_t tried = 0; tried < MOST_BUFFERS; tried++, at = (at + 1) % MOST_BUFFERS)
        if (buffers[at] == buffer || !buffers[at]) return at;
    return at;
}

static VkBufferUsageFlags usage_of(VkBuffer buffer) {
    pthread_mutex_lock(&lock);
    size_t at = place_of(buffer);
    VkBufferUsageFlags usage = buffers[at] == buffer ? usages[at] : 0;
    pthread_mutex_unlock(&lock);
    return usage;
}

/* A handle may come again with another usage; its place stays. */
static VkResult VKAPI_CALL create_buffer(VkDevice d, const VkBufferCreateInfo *info, const VkAllocationCallbacks *a,
                                         VkBuffer *buffer) {
    VkResult result = ((PFN_vkCreateBuffer)next_device(device, "vkCreateBuffer"))(d, info, a, buffer);
    if (result == VK_SUCCESS) {
        pthread_mutex_lock(&lock);
        size_t at = place_of(*buffer);
        buffers[at] = *buffer;
        usages[at] = info->usage;
        pthread_mutex_unlock(&lock);
    }
    return result;
}

#define NEXT(name) ((PFN_##name)next_device(device, #name))

static VkResult VKAPI_CALL submit(VkQueue q, uint32_t count, const VkSubmitInfo *infos, VkFence f) {
    static PFN_vkQueueSubmit next;
    if (!next) next = NEXT(vkQueueSubmit);
    submits++;
    for (uint32_t i = 0; i < count; i++) command_buffers += infos[i].commandBufferCount;
    return next(q, count, infos, f);
}

static VkResult VKAPI_CALL submit2(VkQueue q, uint32_t count, const VkSubmitInfo2 *infos, VkFence f) {
    static PFN_vkQueueSubmit2 next;
    if (!next) next = NEXT(vkQueueSubmit2);
    if (!next) next = (PFN_vkQueueSubmit2)next_device(device, "vkQueueSubmit2KHR");
    submits++;
    for (uint32_t i = 0; i < count; i++) command_buffers += infos[i].commandBufferInfoCount;
    return next(q, count, infos, f);
}

/* With no time to wait it is a question, not a wait. */
static void count_wait(uint64_t timeout) {
    if (timeout) waits++; else polls++;
}

static VkResult VKAPI_CALL wait_fences(VkDevice d, uint32_t n, const VkFence *f, VkBool32 all, uint64_t timeout) {
    static PFN_vkWaitForFences next;
    if (!next) next = NEXT(vkWaitForFences);
    count_wait(timeout);
    return next(d, n, f, all, timeout);
}

static VkResult VKAPI_CALL wait_semaphores(VkDevice d, const VkSemaphoreWaitInfo *info, uint64_t timeout) {
    static PFN_vkWaitSemaphores next;
    if (!next) next = NEXT(vkWaitSemaphores);
    if (!next) next = (PFN_vkWaitSemaphores)next_device(device, "vkWaitSemaphoresKHR");
    count_wait(timeout);
    return next(d, info, timeout);
}

static VkResult VKAPI_CALL device_idle(VkDevice d) {
    idles++;
    return NEXT(vkDeviceWaitIdle)(d);
}

static VkResult VKAPI_CALL queue_idle(VkQueue q) {
    idles++;
    return NEXT(vkQueueWaitIdle)(q);
}

static void VKAPI_CALL dispatch(VkCommandBuffer c, uint32_t x, uint32_t y, uint32_t z) {
    static PFN_vkCmdDispatch next;
    if (!next) next = NEXT(vkCmdDispatch);
    dispatches++;
    next(c, x, y, z);
}

static void VKAPI_CALL copy(VkCommandBuffer c, VkBuffer from, VkBuffer to, uint32_t count, const VkBufferCopy *regions) {
    static PFN_vkCmdCopyBuffer next;
    if (!next) next = NEXT(vkCmdCopyBuffer);
    VkBufferUsageFlags source = usage_of(from), target = usage_of(to);
    for (uint32_t i = 0; i < count; i++) {
        copies++;
        if (source == VK_BUFFER_USAGE_TRANSFER_SRC_BIT) up += regions[i].size;
        else if (target == VK_BUFFER_USAGE_TRANSFER_DST_BIT) down += regions[i].size;
        else within += regions[i].size;
    }
    next(c, from, to, count, regions);
}

/* Passes what comes next on to the next layer, or the driver. */
static VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a, VkInstance *made) {
    VkLayerInstanceCreateInfo *chain = (VkLayerInstanceCreateInfo *)info->pNext;
    while (chain && !(chain->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO && chain->function == VK_LAYER_LINK_INFO))
        chain = (VkLayerInstanceCreateInfo *)chain->pNext;
    if (!chain) return VK_ERROR_INITIALIZATION_FAILED;
    next_instance = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
    VkResult result = ((PFN_vkCreateInstance)next_instance(NULL, "vkCreateInstance"))(info, a, made);
    if (result == VK_SUCCESS) instance = *made;
    return result;
}

static VkResult VKAPI_CALL create_device(VkPhysicalDevice p, const VkDeviceCreateInfo *info, const VkAllocationCallbacks *a,
                                         VkDevice *made) {
    VkLayerDeviceCreateInfo *chain = (VkLayerDeviceCreateInfo *)info->pNext;
    while (chain && !(chain->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO && chain->function == VK_LAYER_LINK_INFO))
        chain = (VkLayerDeviceCreateInfo *)chain->pNext;
    if (!chain) return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr of_instance = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    next_device = chain->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
    VkResult result = ((PFN_vkCreateDevice)of_instance(instance, "vkCreateDevice"))(p, info, a, made);
    if (result == VK_SUCCESS) {
        device = *made;
        atexit(tell);
    }
    return result;
}

static PFN_vkVoidFunction ours(const char *name) {
    static const struct { const char *name; void *function; } counted[] = {
        {"vkCreateInstance", create_instance}, {"vkCreateDevice", create_device},
        {"vkQueueSubmit", submit}, {"vkQueueSubmit2", submit2}, {"vkQueueSubmit2KHR", submit2},
        {"vkWaitForFences", wait_fences}, {"vkWaitSemaphores", wait_semaphores},
        {"vkWaitSemaphoresKHR", wait_semaphores}, {"vkDeviceWaitIdle", device_idle},
        {"vkQueueWaitIdle", queue_idle}, {"vkCmdDispatch", dispatch}, {"vkCmdCopyBuffer", copy},
        {"vkCreateBuffer", create_buffer},
    };
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
        if (!strcmp(name, counted[i].name)) return (PFN_vkVoidFunction)counted[i].function;
    return NULL;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL round_trips_device(VkDevice d, const char *name) {
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)round_trips_device;
    PFN_vkVoidFunction next = next_device ? next_device(d, name) : NULL;
    /* What the driver does not have is not there. */
    return next && ours(name) ? ours(name) : next;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL round_trips_instance(VkInstance i, const char *name) {
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)round_trips_instance;
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)round_trips_device;
    PFN_vkVoidFunction function = ours(name);
    return function ? function : next_instance ? next_instance(i, name) : NULL;
}
