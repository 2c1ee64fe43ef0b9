<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de_DE" sourcelanguage="en_US">
<context>
    <name>Actions</name>
    <message>
        <source>&amp;New Virtual Machine...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Put a new machine into the library</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Close Tab</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close this tab; its machine runs on</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Quit</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close the window</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Copy Screen Text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy the text on the machine&apos;s screen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Library</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show or hide the list of machines</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Find a Machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Search the library</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Start</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Switch the machine on</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Resume</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Bring the suspended machine back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Let the paused machine run on</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Pause</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop the processor; memory stays as it is</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>S&amp;uspend</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save the machine&apos;s whole state and end its process</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>R&amp;eset</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press the machine&apos;s reset button</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Shut &amp;Down Guest</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press the power button and let the guest shut down</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Power &amp;Off</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Switch the machine off at once</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Discard Suspended State...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Throw the saved state away; the machine is off then</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Grab Keyboard</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give the keyboard to the machine; Ctrl+Alt takes it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send Ctrl+Alt+&amp;Del</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press these keys in the machine (also Ctrl+Alt+Ins)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show &amp;Log...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The last lines of the machine&apos;s log</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete from Disk...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Remove the machine and all its files</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;About VM Workbench</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Which version this is</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;File</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Edit</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;VM</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Help</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Banner</name>
    <message>
        <source>Message</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close this message</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>FileField</name>
    <message>
        <source>Browse...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Browse for: {title}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>LibraryPane</name>
    <message>
        <source>Search</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Search the library</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Machines of the library</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The library is empty.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New Virtual Machine...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New virtual machine</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>LogDialog</name>
    <message>
        <source>Log of {machine}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Refresh</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The log is empty.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MachineTab</name>
    <message>
        <source>Views of the machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Summary</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Screen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Serial terminal</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>To get the keyboard back, press Ctrl+Alt</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>To type into the machine, click its screen or press Ctrl+G</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What you type goes to the machine&apos;s serial port</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>VM Workbench</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Machines</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open machines</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a machine in the library, or create one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Library</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Menu bar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tool bar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Status bar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How to reach the machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>State of the machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Instructions a second</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Load on the host&apos;s processor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no machine {name} in the library.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Commands of the machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Shut Down Guest</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The guest did not shut down within a minute. It runs on.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Power Off</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Discard Suspended State</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The suspended state is thrown away, with all that was not saved in it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Discard</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no text on the screen: it is in a graphics mode.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The screen&apos;s text is on the clipboard.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete from Disk</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete the machine {name} and all its files?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} files, {size}, in {path}. This cannot be undone.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>About VM Workbench</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>VM Workbench {version}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Virtual machines with an emulator of their own. Apache License 2.0.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close the Workbench</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Machines are running: {names}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Run in Background</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>In the background they run on; the window finds them again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>End the Run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing of this machine is kept when its window closes.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>NewMachineDialog</name>
    <message>
        <source>New Virtual Machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source> MiB</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kernel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Initial RAM disk</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What is wrong</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Name</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Kernel (Linux bzImage)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Initial RAM disk (optional)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kernel &amp;command line</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Create</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A machine needs something to boot: choose a kernel.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ScreenView</name>
    <message>
        <source>Screen of the machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Who has the keyboard</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The machine has the keyboard: Ctrl+Alt gives it back</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SummaryPage</name>
    <message>
        <source>Summary</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Settings</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This machine is {state}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start this machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Resume this machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Let it run on</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No problem</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What went wrong</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Last lines of the log</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>TerminalView</name>
    <message>
        <source>Serial terminal</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scroll through the output</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scroll sideways</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Texts</name>
    <message>
        <source>powered off</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>starting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>running</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>pausing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>paused</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>suspending</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>suspended</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>resuming</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>stopping</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>crashed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>VGA</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>none</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>test pattern</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a machine first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not possible while the machine is {state}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{number} million instr/s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Host CPU {number} %</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Processors</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Engine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kernel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Initial RAM disk</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kernel command line</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Display</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Serial port</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Time</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>deterministic: follows the count of instructions</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>file {path}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>in this window</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
