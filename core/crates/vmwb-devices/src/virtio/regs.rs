//! Registers, capabilities, features and ring layout (Virtual I/O Device specification 1.2: chapter 2 for status,
//! features and rings, section 4.1 for PCI).

/// PCI vendor of every virtio function.
pub const VENDOR: u32 = 0x1AF4;
/// PCI device identification of device type 0; the type is added (section 4.1.2).
pub const FIRST_DEVICE: u32 = 0x1040;
/// Revision of functions without the legacy interface.
pub const REVISION: u32 = 1;
/// Subsystem: vendor as above, identification of at least 40h (section 4.1.2.1).
pub const SUBSYSTEM: u32 = 0x1100_1AF4;

/// Base address of table and pending bits of MSI-X.
pub const MSIX_BAR: usize = 1;
/// Length behind it.
pub const MSIX_BAR_BYTES: u32 = 0x1000;
/// Offset of the pending bits there.
pub const MSIX_PENDING: u32 = 0x800;
/// Base address of the function's registers.
pub const REGISTER_BAR: usize = 4;
/// Length behind it: four pages, one a structure.
pub const REGISTER_BAR_BYTES: u32 = 0x4000;
/// Length of one structure's page.
pub const PAGE: u64 = 0x1000;
/// Page of the common configuration.
pub const COMMON_PAGE: u64 = 0;
/// Page of the interrupt status.
pub const ISR_PAGE: u64 = 1;
/// Page of the device's own configuration.
pub const DEVICE_PAGE: u64 = 2;
/// Page of the notification addresses.
pub const NOTIFY_PAGE: u64 = 3;
/// Bytes between two queues' notification addresses.
pub const NOTIFY_MULTIPLIER: u64 = 4;

/// Capability identification: vendor-specific.
pub const CAPABILITY_VENDOR: u32 = 0x09;
/// Kind of virtio capability: common configuration.
pub const KIND_COMMON: u32 = 1;
/// Kind: notifications.
pub const KIND_NOTIFY: u32 = 2;
/// Kind: interrupt status.
pub const KIND_ISR: u32 = 3;
/// Kind: the device's configuration.
pub const KIND_DEVICE: u32 = 4;
/// Kind: window in configuration space.
pub const KIND_WINDOW: u32 = 5;
/// Offset of the MSI-X capability in configuration space.
pub const CAP_MSIX: u8 = 0x40;
/// Offset of the common configuration's capability.
pub const CAP_COMMON: u8 = 0x4C;
/// Offset of the interrupt status's capability.
pub const CAP_ISR: u8 = 0x5C;
/// Offset of the device configuration's capability.
pub const CAP_DEVICE: u8 = 0x6C;
/// Offset of the notifications' capability.
pub const CAP_NOTIFY: u8 = 0x7C;
/// Offset of the window in configuration space.
pub const CAP_WINDOW: u8 = 0x90;
/// Its data register.
pub const WINDOW_DATA: u8 = CAP_WINDOW + 16;
/// Offset of the MSI capability.
pub const CAP_MSI: u8 = 0xA4;
/// MSI: the message of queues.
pub const MESSAGE_QUEUE: u8 = 0;
/// MSI: the message of configuration changes, for drivers that allocate two.
pub const MESSAGE_CONFIG: u8 = 1;
/// MSI: how many there are.
pub const MESSAGES: u8 = 2;

/// Common configuration: `device_feature_select`, 4 bytes.
pub const DEVICE_FEATURE_SELECT: usize = 0x00;
/// `device_feature`, 4 bytes.
pub const DEVICE_FEATURE: usize = 0x04;
/// `driver_feature_select`, 4 bytes.
pub const DRIVER_FEATURE_SELECT: usize = 0x08;
/// `driver_feature`, 4 bytes.
pub const DRIVER_FEATURE: usize = 0x0C;
/// `config_msix_vector`, 2 bytes.
pub const CONFIG_VECTOR: usize = 0x10;
/// `num_queues`, 2 bytes.
pub const NUM_QUEUES: usize = 0x12;
/// `device_status`, 1 byte.
pub const DEVICE_STATUS: usize = 0x14;
/// `config_generation`, 1 byte.
pub const CONFIG_GENERATION: usize = 0x15;
/// `queue_select`, 2 bytes.
pub const QUEUE_SELECT: usize = 0x16;
/// `queue_size`, 2 bytes.
pub const QUEUE_SIZE: usize = 0x18;
/// `queue_msix_vector`, 2 bytes.
pub const QUEUE_VECTOR: usize = 0x1A;
/// `queue_enable`, 2 bytes.
pub const QUEUE_ENABLE: usize = 0x1C;
/// `queue_notify_off`, 2 bytes.
pub const QUEUE_NOTIFY_OFF: usize = 0x1E;
/// `queue_desc`, 8 bytes.
pub const QUEUE_DESC: usize = 0x20;
/// `queue_driver`, 8 bytes.
pub const QUEUE_DRIVER: usize = 0x28;
/// `queue_device`, 8 bytes.
pub const QUEUE_DEVICE: usize = 0x30;
/// `queue_notify_data`, 2 bytes; only with a feature that is not offered.
pub const QUEUE_NOTIFY_DATA: usize = 0x38;
/// `queue_reset`, 2 bytes.
pub const QUEUE_RESET: usize = 0x3A;
/// Length of the common configuration.
pub const COMMON_BYTES: usize = 0x3C;
/// Its fields: offset and length.
pub const COMMON_FIELDS: [(usize, usize); 18] = [
    (DEVICE_FEATURE_SELECT, 4),
    (DEVICE_FEATURE, 4),
    (DRIVER_FEATURE_SELECT, 4),
    (DRIVER_FEATURE, 4),
    (CONFIG_VECTOR, 2),
    (NUM_QUEUES, 2),
    (DEVICE_STATUS, 1),
    (CONFIG_GENERATION, 1),
    (QUEUE_SELECT, 2),
    (QUEUE_SIZE, 2),
    (QUEUE_VECTOR, 2),
    (QUEUE_ENABLE, 2),
    (QUEUE_NOTIFY_OFF, 2),
    (QUEUE_DESC, 8),
    (QUEUE_DRIVER, 8),
    (QUEUE_DEVICE, 8),
    (QUEUE_NOTIFY_DATA, 2),
    (QUEUE_RESET, 2),
];

/// No MSI-X vector.
pub const NO_VECTOR: u16 = 0xFFFF;

/// Device status: the guest has noticed the device.
pub const STATUS_ACKNOWLEDGE: u8 = 1;
/// The guest has a driver for it.
pub const STATUS_DRIVER: u8 = 2;
/// The driver is ready.
pub const STATUS_DRIVER_OK: u8 = 4;
/// Features are agreed on.
pub const STATUS_FEATURES_OK: u8 = 8;
/// The device has given up until it is reset.
pub const STATUS_NEEDS_RESET: u8 = 64;
/// The driver has given up.
pub const STATUS_FAILED: u8 = 128;
/// Bits that a driver sets.
pub const STATUS_DRIVER_BITS: u8 =
    STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK | STATUS_FAILED;

/// Interrupt status: a queue has used buffers.
pub const ISR_QUEUE: u8 = 1;
/// Interrupt status: the device configuration has changed.
pub const ISR_CONFIG: u8 = 2;

/// Feature: descriptors may refer to tables of descriptors.
pub const F_INDIRECT_DESC: u64 = 1 << 28;
/// Feature: notifications are suppressed by ring index.
pub const F_EVENT_IDX: u64 = 1 << 29;
/// Feature: not a legacy device.
pub const F_VERSION_1: u64 = 1 << 32;
/// Feature: queues can be reset one by one.
pub const F_RING_RESET: u64 = 1 << 40;

/// Bytes of one descriptor.
pub const DESC_BYTES: u64 = 16;
/// Descriptor: another follows.
pub const DESC_NEXT: u16 = 1;
/// Descriptor: the device writes this buffer.
pub const DESC_WRITE: u16 = 2;
/// Descriptor: the buffer is a table of descriptors.
pub const DESC_INDIRECT: u16 = 4;
/// Available ring: the driver wants no interrupts.
pub const AVAIL_NO_INTERRUPT: u16 = 1;
/// Largest queue (section 2.7).
pub const MAX_QUEUE_SIZE: u16 = 1024;
/// Most descriptors of one chain through a table.
pub const MAX_INDIRECT: usize = 1024;
