//! What keys and clicks ask for. The keymap names these actions, screens put them behind click targets, the app carries
//! them out.

/// A screen, by its place in the list of screens: 0 is the first tab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScreenId(pub usize);

/// What a key or a click does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Halve the batch size, or go to the power of two below.
    BatchDown,
    /// Double the batch size, or go to the power of two above.
    BatchUp,
    /// Open the prompt for a batch size.
    BatchPrompt,
    /// Run this batch size, which was clicked or typed.
    Batch(u32),
    /// The network above in the list.
    NetworkUp,
    /// The network below in the list.
    NetworkDown,
    /// The next precision of the device.
    PrecisionNext,
    /// The previous precision of the device.
    PrecisionBack,
    /// The next device that is present; the next station where there are several.
    DeviceNext,
    /// The previous device or station.
    DeviceBack,
    /// Show this station, which was clicked.
    Station(usize),
    /// Pin the current configuration for comparison, or unpin it.
    Pin,
    /// Freeze or unfreeze the view; pause or resume a replay.
    Freeze,
    /// Reset the statistics of the run.
    Reset,
    /// Start or stop a recording.
    Record,
    /// Show another moment of the stream.
    Seek(Seek),
    /// Halve the speed of a replay.
    Slower,
    /// Double the speed of a replay.
    Faster,
    /// Open the sweep dialog.
    Sweep,
    /// Shorten the time axis.
    ZoomIn,
    /// Lengthen the time axis.
    ZoomOut,
    /// Show a screen.
    Show(ScreenId),
    /// The next screen.
    ScreenNext,
    /// The previous screen.
    ScreenBack,
    /// Sort by the next column.
    SortNext,
    /// Sort by the previous column.
    SortBack,
    /// Sort by this column, which was clicked; reverse the order where it is sorted by it already.
    SortBy(usize),
    /// Reverse the order.
    SortReverse,
    /// Lower the energy budget.
    BudgetDown,
    /// Raise the energy budget.
    BudgetUp,
    /// Scroll a page up.
    PageUp,
    /// Scroll a page down.
    PageDown,
    /// Show or hide the help.
    Help,
    /// Close the topmost dialog; stop a sweep.
    Close,
    /// Quit.
    Quit,
    /// Quit with the exit code of an interrupt.
    Interrupt,
    /// Stop the process until the shell continues it.
    Suspend,
    /// Redraw every cell.
    Redraw,
}

/// A moment of the stream, relative to the one shown or absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// Seconds later; negative is earlier.
    By(i64),
    /// The earliest moment that is held.
    Begin,
    /// The end of a recording, or now.
    End,
}
