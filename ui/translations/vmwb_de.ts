<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de_DE" sourcelanguage="en_US">
    <context>
        <name>Actions</name>
        <message>
            <source>&amp;New Virtual Machine...</source>
            <translation>&amp;Neue virtuelle Maschine ...</translation>
        </message>
        <message>
            <source>Put a new machine into the library</source>
            <translation>Eine neue Maschine in die Bibliothek aufnehmen</translation>
        </message>
        <message>
            <source>New</source>
            <translation>Neu</translation>
        </message>
        <message>
            <source>&amp;Close Tab</source>
            <translation>Reiter &amp;schließen</translation>
        </message>
        <message>
            <source>Close this tab; its machine runs on</source>
            <translation>Diesen Reiter schließen; seine Maschine läuft weiter</translation>
        </message>
        <message>
            <source>&amp;Quit</source>
            <translation>&amp;Beenden</translation>
        </message>
        <message>
            <source>Close the window</source>
            <translation>Das Fenster schließen</translation>
        </message>
        <message>
            <source>&amp;Copy Screen Text</source>
            <translation>Bildschirmtext &amp;kopieren</translation>
        </message>
        <message>
            <source>Copy the text on the machine&apos;s screen</source>
            <translation>Den Text auf dem Bildschirm der Maschine kopieren</translation>
        </message>
        <message>
            <source>&amp;Library</source>
            <translation>&amp;Bibliothek</translation>
        </message>
        <message>
            <source>Show or hide the list of machines</source>
            <translation>Die Liste der Maschinen zeigen oder verbergen</translation>
        </message>
        <message>
            <source>F&amp;ull Screen</source>
            <translation>&amp;Vollbild</translation>
        </message>
        <message>
            <source>Show nothing but the machine&apos;s screen; again: end that</source>
            <translation>Nichts als den Bildschirm der Maschine zeigen; noch einmal: das beenden</translation>
        </message>
        <message>
            <source>&amp;Find a Machine</source>
            <translation>Maschine &amp;suchen</translation>
        </message>
        <message>
            <source>Search the library</source>
            <translation>Die Bibliothek durchsuchen</translation>
        </message>
        <message>
            <source>&amp;Start</source>
            <translation>&amp;Starten</translation>
        </message>
        <message>
            <source>Switch the machine on</source>
            <translation>Die Maschine einschalten</translation>
        </message>
        <message>
            <source>&amp;Resume</source>
            <translation>&amp;Aufwecken</translation>
        </message>
        <message>
            <source>Bring the suspended machine back</source>
            <translation>Die schlafende Maschine zurückholen</translation>
        </message>
        <message>
            <source>&amp;Continue</source>
            <translation>&amp;Fortsetzen</translation>
        </message>
        <message>
            <source>Let the paused machine run on</source>
            <translation>Die angehaltene Maschine weiterlaufen lassen</translation>
        </message>
        <message>
            <source>&amp;Pause</source>
            <translation>An&amp;halten</translation>
        </message>
        <message>
            <source>Stop the processor; memory stays as it is</source>
            <translation>Den Prozessor anhalten; der Speicher bleibt, wie er ist</translation>
        </message>
        <message>
            <source>S&amp;uspend</source>
            <translation>Schlafen &amp;legen</translation>
        </message>
        <message>
            <source>Save the machine&apos;s whole state and end its process</source>
            <translation>Den ganzen Zustand der Maschine sichern und ihren Prozess beenden</translation>
        </message>
        <message>
            <source>R&amp;eset</source>
            <translation>&amp;Zurücksetzen</translation>
        </message>
        <message>
            <source>Press the machine&apos;s reset button</source>
            <translation>Den Reset-Knopf der Maschine drücken</translation>
        </message>
        <message>
            <source>Shut &amp;Down Guest</source>
            <translation>Gast &amp;herunterfahren</translation>
        </message>
        <message>
            <source>Press the power button and let the guest shut down</source>
            <translation>Den Netzschalter drücken und den Gast herunterfahren lassen</translation>
        </message>
        <message>
            <source>Shut Down</source>
            <translation>Herunterfahren</translation>
        </message>
        <message>
            <source>Power &amp;Off</source>
            <translation>A&amp;usschalten</translation>
        </message>
        <message>
            <source>Switch the machine off at once</source>
            <translation>Die Maschine sofort ausschalten</translation>
        </message>
        <message>
            <source>Discard Suspended State...</source>
            <translation>Schlafzustand verwerfen ...</translation>
        </message>
        <message>
            <source>Throw the saved state away; the machine is off then</source>
            <translation>Den gesicherten Zustand wegwerfen; die Maschine ist danach aus</translation>
        </message>
        <message>
            <source>&amp;Grab Keyboard</source>
            <translation>&amp;Tastatur übergeben</translation>
        </message>
        <message>
            <source>Give keyboard and, if need be, mouse to the machine; Ctrl+Alt takes them</source>
            <translation>Der Maschine die Tastatur und, wenn nötig, die Maus geben; Strg+Alt holt sie zurück</translation>
        </message>
        <message>
            <source>Keyboard</source>
            <translation>Tastatur</translation>
        </message>
        <message>
            <source>Send Ctrl+Alt+&amp;Del</source>
            <translation>Strg+Alt+&amp;Entf senden</translation>
        </message>
        <message>
            <source>Press these keys in the machine (also Ctrl+Alt+Ins)</source>
            <translation>Diese Tasten in der Maschine drücken (auch Strg+Alt+Einfg)</translation>
        </message>
        <message>
            <source>Send &amp;NMI</source>
            <translation>&amp;NMI senden</translation>
        </message>
        <message>
            <source>Press the NMI button of the board: many systems then tell what they are doing</source>
            <translation>Den NMI-Knopf der Platine drücken: Viele Systeme sagen dann, was sie gerade tun</translation>
        </message>
        <message>
            <source>Show &amp;Log...</source>
            <translation>&amp;Protokoll zeigen ...</translation>
        </message>
        <message>
            <source>The last lines of the machine&apos;s log</source>
            <translation>Die letzten Zeilen des Protokolls der Maschine</translation>
        </message>
        <message>
            <source>Delete from Disk...</source>
            <translation>Von der Platte löschen ...</translation>
        </message>
        <message>
            <source>Remove the machine and all its files</source>
            <translation>Die Maschine und alle ihre Dateien entfernen</translation>
        </message>
        <message>
            <source>&amp;About VM Workbench</source>
            <translation>&amp;Über VM Workbench</translation>
        </message>
        <message>
            <source>Which version this is</source>
            <translation>Welche Version dies ist</translation>
        </message>
        <message>
            <source>&amp;File</source>
            <translation>&amp;Datei</translation>
        </message>
        <message>
            <source>&amp;Edit</source>
            <translation>&amp;Bearbeiten</translation>
        </message>
        <message>
            <source>&amp;View</source>
            <translation>&amp;Ansicht</translation>
        </message>
        <message>
            <source>&amp;VM</source>
            <translation>&amp;VM</translation>
        </message>
        <message>
            <source>&amp;Help</source>
            <translation>&amp;Hilfe</translation>
        </message>
    </context>
    <context>
        <name>Banner</name>
        <message>
            <source>Message</source>
            <translation>Meldung</translation>
        </message>
        <message>
            <source>Close this message</source>
            <translation>Diese Meldung schließen</translation>
        </message>
    </context>
    <context>
        <name>Errors</name>
        <message>
            <source>It did not work.</source>
            <translation>Es hat nicht geklappt.</translation>
        </message>
        <message>
            <source>What was asked for makes no sense.</source>
            <translation>Die Eingabe ergibt keinen Sinn.</translation>
        </message>
        <message>
            <source>This version cannot do that yet.</source>
            <translation>Das kann diese Version noch nicht.</translation>
        </message>
        <message>
            <source>The machine&apos;s settings are not sound.</source>
            <translation>Die Einstellungen der Maschine passen nicht zusammen.</translation>
        </message>
        <message>
            <source>Something that is needed does not exist.</source>
            <translation>Etwas, das gebraucht wird, gibt es nicht.</translation>
        </message>
        <message>
            <source>The machine&apos;s state does not allow that now.</source>
            <translation>Im jetzigen Zustand der Maschine geht das nicht.</translation>
        </message>
        <message>
            <source>Another program uses the machine.</source>
            <translation>Ein anderes Programm benutzt die Maschine.</translation>
        </message>
        <message>
            <source>There is a machine of that name already.</source>
            <translation>Eine Maschine dieses Namens gibt es schon.</translation>
        </message>
        <message>
            <source>It took too long.</source>
            <translation>Es hat zu lange gedauert.</translation>
        </message>
        <message>
            <source>It was interrupted.</source>
            <translation>Es wurde unterbrochen.</translation>
        </message>
        <message>
            <source>The disk or a file cannot be read or written.</source>
            <translation>Der Datenträger oder eine Datei lässt sich nicht lesen oder schreiben.</translation>
        </message>
        <message>
            <source>A file of the machine is damaged.</source>
            <translation>Eine Datei der Maschine ist beschädigt.</translation>
        </message>
        <message>
            <source>The machine&apos;s process is of another version.</source>
            <translation>Der Prozess der Maschine gehört zu einer anderen Version.</translation>
        </message>
        <message>
            <source>The machine&apos;s process has died or did not start.</source>
            <translation>Der Prozess der Maschine ist gestorben oder gar nicht gestartet.</translation>
        </message>
        <message>
            <source>The machine&apos;s process has ended.</source>
            <translation>Der Prozess der Maschine ist zu Ende.</translation>
        </message>
        <message>
            <source>The guest cannot run on.</source>
            <translation>Der Gast kann nicht weiterlaufen.</translation>
        </message>
        <message>
            <source>The kernel or its RAM disk cannot be booted.</source>
            <translation>Der Kernel oder seine RAM-Disk lässt sich nicht starten.</translation>
        </message>
        <message>
            <source>The emulator refused or failed.</source>
            <translation>Der Emulator hat abgelehnt oder versagt.</translation>
        </message>
        <message>
            <source>The guest sleeps.</source>
            <translation>Der Gast schläft.</translation>
        </message>
        <message>
            <source>No device that can boot was found.</source>
            <translation>Es wurde kein Gerät gefunden, von dem gestartet werden kann.</translation>
        </message>
        <message>
            <source>The machine&apos;s process was stopped by its own sandbox.</source>
            <translation>Der Prozess der Maschine wurde von seiner eigenen Sandbox angehalten.</translation>
        </message>
        <message>
            <source>The image cannot be used.</source>
            <translation>Das Abbild lässt sich nicht verwenden.</translation>
        </message>
        <message>
            <source>nothing to boot</source>
            <translation>nichts zu starten</translation>
        </message>
        <message>
            <source>asleep</source>
            <translation>Gast schläft</translation>
        </message>
        <message>
            <source>There is a machine named {machine} already: choose another name.</source>
            <translation>Eine Maschine namens {machine} gibt es schon: Wählen Sie einen anderen Namen.</translation>
        </message>
        <message>
            <source>{machine} is {state}: that is not possible now.</source>
            <translation>{machine}: {state}. Das geht jetzt nicht.</translation>
        </message>
        <message>
            <source>{path} does not exist: check the path.</source>
            <translation>{path} gibt es nicht: Prüfen Sie den Pfad.</translation>
        </message>
    </context>
    <context>
        <name>FileField</name>
        <message>
            <source>Browse...</source>
            <translation>Durchsuchen ...</translation>
        </message>
        <message>
            <source>Browse for: {title}</source>
            <translation>Auswählen: {title}</translation>
        </message>
    </context>
    <context>
        <name>LibraryPane</name>
        <message>
            <source>Search</source>
            <translation>Suchen</translation>
        </message>
        <message>
            <source>Search the library</source>
            <translation>Die Bibliothek durchsuchen</translation>
        </message>
        <message>
            <source>Machines of the library</source>
            <translation>Maschinen der Bibliothek</translation>
        </message>
        <message>
            <source>The library is empty.</source>
            <translation>Die Bibliothek ist leer.</translation>
        </message>
        <message>
            <source>New Virtual Machine...</source>
            <translation>Neue virtuelle Maschine ...</translation>
        </message>
        <message>
            <source>New virtual machine</source>
            <translation>Neue virtuelle Maschine</translation>
        </message>
    </context>
    <context>
        <name>LogDialog</name>
        <message>
            <source>Log of {machine}</source>
            <translation>Protokoll von {machine}</translation>
        </message>
        <message>
            <source>Refresh</source>
            <translation>Aktualisieren</translation>
        </message>
        <message>
            <source>The log is empty.</source>
            <translation>Das Protokoll ist leer.</translation>
        </message>
    </context>
    <context>
        <name>MachineTab</name>
        <message>
            <source>Views of the machine</source>
            <translation>Ansichten der Maschine</translation>
        </message>
        <message>
            <source>Summary</source>
            <translation>Übersicht</translation>
        </message>
        <message>
            <source>Screen</source>
            <translation>Bildschirm</translation>
        </message>
        <message>
            <source>Serial terminal</source>
            <translation>Serielles Terminal</translation>
        </message>
        <message>
            <source>Serial terminal (COM{number})</source>
            <translation>Serielles Terminal (COM{number})</translation>
        </message>
        <message>
            <source>Console (hvc0)</source>
            <translation>Konsole (hvc0)</translation>
        </message>
        <message>
            <source>What you type goes to the machine&apos;s console</source>
            <translation>Was getippt wird, geht an die Konsole der Maschine</translation>
        </message>
        <message>
            <source>To get keyboard and mouse back, press Ctrl+Alt</source>
            <translation>Strg+Alt holt Tastatur und Maus zurück</translation>
        </message>
        <message>
            <source>To get the keyboard back, press Ctrl+Alt</source>
            <translation>Strg+Alt holt die Tastatur zurück</translation>
        </message>
        <message>
            <source>To type into the machine, click its screen or press Ctrl+G</source>
            <translation>Zum Tippen in die Maschine auf ihren Bildschirm klicken oder Strg+G drücken</translation>
        </message>
        <message>
            <source>What you type goes to the machine&apos;s serial port</source>
            <translation>Was getippt wird, geht an die serielle Schnittstelle der Maschine</translation>
        </message>
    </context>
    <context>
        <name>MainWindow</name>
        <message>
            <source>VM Workbench</source>
            <translation>VM Workbench</translation>
        </message>
        <message>
            <source>Machines</source>
            <translation>Maschinen</translation>
        </message>
        <message>
            <source>Open machines</source>
            <translation>Offene Maschinen</translation>
        </message>
        <message>
            <source>Choose a machine in the library, or create one.</source>
            <translation>Eine Maschine der Bibliothek wählen oder eine anlegen.</translation>
        </message>
        <message>
            <source>Library</source>
            <translation>Bibliothek</translation>
        </message>
        <message>
            <source>Menu bar</source>
            <translation>Menüleiste</translation>
        </message>
        <message>
            <source>&amp;Media</source>
            <translation>&amp;Medien</translation>
        </message>
        <message>
            <source>Tool bar</source>
            <translation>Werkzeugleiste</translation>
        </message>
        <message>
            <source>Status bar</source>
            <translation>Statusleiste</translation>
        </message>
        <message>
            <source>How to reach the machine</source>
            <translation>Wie man die Maschine erreicht</translation>
        </message>
        <message>
            <source>State of the machine</source>
            <translation>Zustand der Maschine</translation>
        </message>
        <message>
            <source>Instructions a second</source>
            <translation>Befehle je Sekunde</translation>
        </message>
        <message>
            <source>Load on the host&apos;s processor</source>
            <translation>Last auf dem Prozessor des Wirts</translation>
        </message>
        <message>
            <source>There is no machine {name} in the library.</source>
            <translation>In der Bibliothek gibt es keine Maschine {name}.</translation>
        </message>
        <message>
            <source>Commands of the machine</source>
            <translation>Befehle für die Maschine</translation>
        </message>
        <message>
            <source>Shut Down Guest</source>
            <translation>Gast herunterfahren</translation>
        </message>
        <message>
            <source>The guest did not shut down within a minute. It runs on.</source>
            <translation>Der Gast ist nicht binnen einer Minute heruntergefahren. Er läuft weiter.</translation>
        </message>
        <message>
            <source>Power Off</source>
            <translation>Ausschalten</translation>
        </message>
        <message>
            <source>Discard Suspended State</source>
            <translation>Schlafzustand verwerfen</translation>
        </message>
        <message>
            <source>The suspended state is thrown away, with all that was not saved in it.</source>
            <translation>Der Schlafzustand wird weggeworfen, mit allem, was darin nicht gesichert war.</translation>
        </message>
        <message>
            <source>Discard</source>
            <translation>Verwerfen</translation>
        </message>
        <message>
            <source>Open the Drive</source>
            <translation>Laufwerk öffnen</translation>
        </message>
        <message>
            <source>The guest has locked the drive: it may be reading or writing.</source>
            <translation>Der Gast hat das Laufwerk verriegelt: Vielleicht liest oder schreibt er gerade.</translation>
        </message>
        <message>
            <source>Open It Anyway</source>
            <translation>Trotzdem öffnen</translation>
        </message>
        <message>
            <source>There is no text on the screen: it is in a graphics mode.</source>
            <translation>Auf dem Bildschirm ist kein Text: Er ist in einem Grafikmodus.</translation>
        </message>
        <message>
            <source>The screen&apos;s text is on the clipboard.</source>
            <translation>Der Bildschirmtext liegt in der Zwischenablage.</translation>
        </message>
        <message>
            <source>Delete from Disk</source>
            <translation>Von der Platte löschen</translation>
        </message>
        <message>
            <source>Delete the machine {name} and all its files?</source>
            <translation>Die Maschine {name} und alle ihre Dateien löschen?</translation>
        </message>
        <message>
            <source>Delete</source>
            <translation>Löschen</translation>
        </message>
        <message>
            <source>{count} files, {size}, in {path}. This cannot be undone.</source>
            <translation>{count} Dateien, {size}, in {path}. Dies lässt sich nicht rückgängig machen.</translation>
        </message>
        <message>
            <source>About VM Workbench</source>
            <translation>Über VM Workbench</translation>
        </message>
        <message>
            <source>VM Workbench {version}</source>
            <translation>VM Workbench {version}</translation>
        </message>
        <message>
            <source>Virtual machines with an emulator of their own. Apache License 2.0.</source>
            <translation>Virtuelle Maschinen mit eigenem Emulator. Apache-Lizenz 2.0.</translation>
        </message>
        <message>
            <source>Close the Workbench</source>
            <translation>Die Workbench schließen</translation>
        </message>
        <message>
            <source>Machines are running: {names}.</source>
            <translation>Es laufen Maschinen: {names}.</translation>
        </message>
        <message>
            <source>Run in Background</source>
            <translation>Im Hintergrund weiterlaufen</translation>
        </message>
        <message>
            <source>In the background they run on; the window finds them again.</source>
            <translation>Im Hintergrund laufen sie weiter; das Fenster findet sie wieder.</translation>
        </message>
        <message>
            <source>End the Run</source>
            <translation>Den Lauf beenden</translation>
        </message>
        <message>
            <source>Nothing of this machine is kept when its window closes.</source>
            <translation>Von dieser Maschine bleibt nichts, wenn ihr Fenster schließt.</translation>
        </message>
    </context>
    <context>
        <name>Media</name>
        <message>
            <source>Choose a Folder to Make a CD of</source>
            <translation>Ordner wählen, aus dem eine CD wird</translation>
        </message>
        <message>
            <source>Choose an Image</source>
            <translation>Abbild wählen</translation>
        </message>
        <message>
            <source>Images ({patterns})</source>
            <translation>Abbilder ({patterns})</translation>
        </message>
        <message>
            <source>All files (*)</source>
            <translation>Alle Dateien (*)</translation>
        </message>
    </context>
    <context>
        <name>MediaMenu</name>
        <message>
            <source>No drive with removable media</source>
            <translation>Kein Laufwerk mit Wechselmedien</translation>
        </message>
        <message>
            <source>&amp;Insert Image...</source>
            <translation>Abbild &amp;einlegen ...</translation>
        </message>
        <message>
            <source>Insert &amp;Folder...</source>
            <translation>&amp;Ordner einlegen ...</translation>
        </message>
        <message>
            <source>&amp;Write-Protected</source>
            <translation>&amp;Schreibgeschützt</translation>
        </message>
        <message>
            <source>&amp;Eject</source>
            <translation>Aus&amp;werfen</translation>
        </message>
    </context>
    <context>
        <name>NewMachineDialog</name>
        <message>
            <source>New Virtual Machine</source>
            <translation>Neue virtuelle Maschine</translation>
        </message>
        <message>
            <source> MiB</source>
            <translation> MiB</translation>
        </message>
        <message>
            <source>Disk image</source>
            <translation>Festplattenabbild</translation>
        </message>
        <message>
            <source>CD image</source>
            <translation>CD-Abbild</translation>
        </message>
        <message>
            <source>Floppy image</source>
            <translation>Diskettenabbild</translation>
        </message>
        <message>
            <source>Kernel</source>
            <translation>Kernel</translation>
        </message>
        <message>
            <source>Initial RAM disk</source>
            <translation>Anfangs-RAM-Disk</translation>
        </message>
        <message>
            <source>What is wrong</source>
            <translation>Was nicht stimmt</translation>
        </message>
        <message>
            <source>&amp;Name</source>
            <translation>&amp;Name</translation>
        </message>
        <message>
            <source>&amp;Memory</source>
            <translation>&amp;Speicher</translation>
        </message>
        <message>
            <source>&amp;Disk image</source>
            <translation>&amp;Festplattenabbild</translation>
        </message>
        <message>
            <source>CD im&amp;age</source>
            <translation>&amp;CD-Abbild</translation>
        </message>
        <message>
            <source>&amp;Floppy image</source>
            <translation>&amp;Diskettenabbild</translation>
        </message>
        <message>
            <source>&amp;Kernel (instead of a BIOS)</source>
            <translation>&amp;Kernel (statt eines BIOS)</translation>
        </message>
        <message>
            <source>&amp;Initial RAM disk</source>
            <translation>&amp;Anfangs-RAM-Disk</translation>
        </message>
        <message>
            <source>A machine needs something to boot: choose an image or a kernel.</source>
            <translation>Eine Maschine braucht etwas, von dem sie startet: Wählen Sie ein Abbild oder einen Kernel.</translation>
        </message>
        <message>
            <source>Kernel &amp;command line</source>
            <translation>Kernel-&amp;Befehlszeile</translation>
        </message>
        <message>
            <source>Create</source>
            <translation>Anlegen</translation>
        </message>
    </context>
    <context>
        <name>Problems</name>
        <message>
            <source>The guest sleeps. A key or its power button wakes it.</source>
            <translation>Der Gast schläft. Eine Taste oder sein Netzschalter weckt ihn.</translation>
        </message>
        <message>
            <source>The guest&apos;s processor shut down after a triple fault: its system could not handle {error} (exception {vector}) at {rip}, nor the errors that followed.</source>
            <translation>Der Prozessor des Gastes hat sich nach einem dreifachen Fehler abgeschaltet: Sein System konnte {error} (Ausnahme {vector}) bei {rip} nicht behandeln und auch die Fehler danach nicht.</translation>
        </message>
        <message>
            <source>The guest halted its processor with interrupts disabled (at {rip}): nothing can wake it.</source>
            <translation>Der Gast hat seinen Prozessor mit gesperrten Interrupts angehalten (bei {rip}): Nichts kann ihn wecken.</translation>
        </message>
        <message>
            <source>The kernel or its RAM disk could not be loaded again ({detail}).</source>
            <translation>Der Kernel oder seine RAM-Disk ließ sich nicht noch einmal laden ({detail}).</translation>
        </message>
        <message>
            <source>The emulator failed inside itself ({detail}). This is a defect of the program; please report it.</source>
            <translation>Der Emulator hat in sich versagt ({detail}). Das ist ein Fehler des Programms; bitte melden Sie ihn.</translation>
        </message>
        <message>
            <source>No device that can boot was found. Give the machine a disk, a CD or a floppy with a system on it, or another boot order, then reset it.</source>
            <translation>Es wurde kein Gerät gefunden, von dem gestartet werden kann. Geben Sie der Maschine eine Festplatte, eine CD oder eine Diskette mit einem System darauf oder eine andere Startreihenfolge, dann setzen Sie sie zurück.</translation>
        </message>
        <message>
            <source>{path} is a folder: only a CD can be made of one.</source>
            <translation>{path} ist ein Ordner: Nur eine CD lässt sich daraus machen.</translation>
        </message>
        <message>
            <source>{path} is no ordinary file: choose a file.</source>
            <translation>{path} ist keine gewöhnliche Datei: Wählen Sie eine Datei.</translation>
        </message>
        <message>
            <source>{path} cannot be read: give yourself the right to read it.</source>
            <translation>{path} lässt sich nicht lesen: Geben Sie sich das Recht dazu.</translation>
        </message>
        <message>
            <source>{path} cannot be written: give yourself the right to write it, or write-protect it.</source>
            <translation>{path} lässt sich nicht beschreiben: Geben Sie sich das Recht dazu, oder schützen Sie es vor dem Schreiben.</translation>
        </message>
        <message>
            <source>Another machine or program uses the image: power it off or end it, then try again.</source>
            <translation>Eine andere Maschine oder ein anderes Programm benutzt das Abbild: Schalten Sie sie aus oder beenden Sie es, dann versuchen Sie es noch einmal.</translation>
        </message>
        <message>
            <source>The guest has locked the drive: eject the disc in the guest, or force it.</source>
            <translation>Der Gast hat das Laufwerk verriegelt: Werfen Sie die CD im Gast aus, oder erzwingen Sie es.</translation>
        </message>
        <message>
            <source>The machine&apos;s process died without last words: look at its log, then start it again.</source>
            <translation>Der Prozess der Maschine ist ohne letzte Worte gestorben: Sehen Sie in ihr Protokoll, dann starten Sie sie wieder.</translation>
        </message>
        <message>
            <source>The machine&apos;s process was stopped by its own sandbox: its thread {role} made the system call {call}, which it may not make. The guest may have tried to break out: look at the log, and report it before you start the machine again.</source>
            <translation>Der Prozess der Maschine wurde von seiner eigenen Sandbox angehalten: Sein Thread {role} rief die Systemfunktion {call} auf, was er nicht darf. Vielleicht hat der Gast versucht auszubrechen: Sehen Sie in das Protokoll und melden Sie es, bevor Sie die Maschine wieder starten.</translation>
        </message>
        <message>
            <source>The linear address is {address}.</source>
            <translation>Die lineare Adresse ist {address}.</translation>
        </message>
        <message>
            <source>The bytes there, {bytes}, are no valid instruction of the processor model {cpu_model}.</source>
            <translation>Die Bytes dort, {bytes}, sind kein gültiger Befehl des Prozessormodells {cpu_model}.</translation>
        </message>
        <message>
            <source>It was processor {processor}.</source>
            <translation>Es war Prozessor {processor}.</translation>
        </message>
        <message>
            <source>Start the machine again.</source>
            <translation>Starten Sie die Maschine wieder.</translation>
        </message>
        <message>
            <source>a division error</source>
            <translation>einen Divisionsfehler</translation>
        </message>
        <message>
            <source>a debug exception</source>
            <translation>eine Debug-Ausnahme</translation>
        </message>
        <message>
            <source>a non-maskable interrupt</source>
            <translation>einen nicht maskierbaren Interrupt</translation>
        </message>
        <message>
            <source>a breakpoint</source>
            <translation>einen Haltepunkt</translation>
        </message>
        <message>
            <source>an overflow</source>
            <translation>einen Überlauf</translation>
        </message>
        <message>
            <source>an index out of bounds</source>
            <translation>einen Index außerhalb der Grenzen</translation>
        </message>
        <message>
            <source>an invalid instruction</source>
            <translation>einen ungültigen Befehl</translation>
        </message>
        <message>
            <source>the lack of a coprocessor</source>
            <translation>das Fehlen eines Koprozessors</translation>
        </message>
        <message>
            <source>a double fault</source>
            <translation>einen doppelten Fehler</translation>
        </message>
        <message>
            <source>an invalid task-state segment</source>
            <translation>ein ungültiges Task-State-Segment</translation>
        </message>
        <message>
            <source>a segment that is not present</source>
            <translation>ein nicht vorhandenes Segment</translation>
        </message>
        <message>
            <source>a stack fault</source>
            <translation>einen Stapelfehler</translation>
        </message>
        <message>
            <source>a general protection fault</source>
            <translation>eine allgemeine Schutzverletzung</translation>
        </message>
        <message>
            <source>a page fault</source>
            <translation>einen Seitenfehler</translation>
        </message>
        <message>
            <source>a floating-point error</source>
            <translation>einen Gleitkommafehler</translation>
        </message>
        <message>
            <source>an unaligned access</source>
            <translation>einen nicht ausgerichteten Zugriff</translation>
        </message>
        <message>
            <source>an SSE floating-point error</source>
            <translation>einen SSE-Gleitkommafehler</translation>
        </message>
        <message>
            <source>an interrupt</source>
            <translation>einen Interrupt</translation>
        </message>
    </context>
    <context>
        <name>ScreenView</name>
        <message>
            <source>Screen of the machine</source>
            <translation>Bildschirm der Maschine</translation>
        </message>
        <message>
            <source>Who has the keyboard</source>
            <translation>Wer die Tastatur hat</translation>
        </message>
        <message>
            <source>The machine has keyboard and mouse: Ctrl+Alt gives them back</source>
            <translation>Die Maschine hat Tastatur und Maus: Strg+Alt gibt sie zurück</translation>
        </message>
        <message>
            <source>Ctrl+Alt+Enter ends the full screen</source>
            <translation>Strg+Alt+Eingabe beendet das Vollbild</translation>
        </message>
        <message>
            <source>The machine has the keyboard: Ctrl+Alt gives it back</source>
            <translation>Die Maschine hat die Tastatur: Strg+Alt gibt sie zurück</translation>
        </message>
    </context>
    <context>
        <name>SummaryPage</name>
        <message>
            <source>Summary</source>
            <translation>Übersicht</translation>
        </message>
        <message>
            <source>Settings</source>
            <translation>Einstellungen</translation>
        </message>
        <message>
            <source>This machine is {state}.</source>
            <translation>Zustand der Maschine: {state}.</translation>
        </message>
        <message>
            <source>Folder</source>
            <translation>Ordner</translation>
        </message>
        <message>
            <source>Start again</source>
            <translation>Wieder starten</translation>
        </message>
        <message>
            <source>Start this machine</source>
            <translation>Diese Maschine starten</translation>
        </message>
        <message>
            <source>Resume this machine</source>
            <translation>Diese Maschine aufwecken</translation>
        </message>
        <message>
            <source>Let it run on</source>
            <translation>Weiterlaufen lassen</translation>
        </message>
        <message>
            <source>No problem</source>
            <translation>Kein Problem</translation>
        </message>
        <message>
            <source>What went wrong</source>
            <translation>Was schiefging</translation>
        </message>
        <message>
            <source>Last lines of the log</source>
            <translation>Letzte Zeilen des Protokolls</translation>
        </message>
    </context>
    <context>
        <name>TerminalView</name>
        <message>
            <source>Serial terminal</source>
            <translation>Serielles Terminal</translation>
        </message>
        <message>
            <source>Scroll through the output</source>
            <translation>Durch die Ausgabe blättern</translation>
        </message>
        <message>
            <source>Scroll sideways</source>
            <translation>Seitwärts blättern</translation>
        </message>
    </context>
    <context>
        <name>Texts</name>
        <message>
            <source>powered off</source>
            <translation>ausgeschaltet</translation>
        </message>
        <message>
            <source>starting</source>
            <translation>startet</translation>
        </message>
        <message>
            <source>running</source>
            <translation>läuft</translation>
        </message>
        <message>
            <source>pausing</source>
            <translation>wird angehalten</translation>
        </message>
        <message>
            <source>paused</source>
            <translation>angehalten</translation>
        </message>
        <message>
            <source>suspending</source>
            <translation>wird schlafen gelegt</translation>
        </message>
        <message>
            <source>suspended</source>
            <translation>schläft</translation>
        </message>
        <message>
            <source>resuming</source>
            <translation>wird aufgeweckt</translation>
        </message>
        <message>
            <source>stopping</source>
            <translation>wird beendet</translation>
        </message>
        <message>
            <source>crashed</source>
            <translation>abgestürzt</translation>
        </message>
        <message>
            <source>VGA</source>
            <translation>VGA</translation>
        </message>
        <message>
            <source>none</source>
            <translation>keine</translation>
        </message>
        <message>
            <source>test pattern</source>
            <translation>Testbild</translation>
        </message>
        <message>
            <source>Disk</source>
            <translation>Festplatte</translation>
        </message>
        <message>
            <source>CD drive</source>
            <translation>CD-Laufwerk</translation>
        </message>
        <message>
            <source>Floppy drive</source>
            <translation>Diskettenlaufwerk</translation>
        </message>
        <message>
            <source>CD</source>
            <translation>CD</translation>
        </message>
        <message>
            <source>disk</source>
            <translation>Festplatte</translation>
        </message>
        <message>
            <source>floppy</source>
            <translation>Diskette</translation>
        </message>
        <message>
            <source>network</source>
            <translation>Netz</translation>
        </message>
        <message>
            <source>empty</source>
            <translation>leer</translation>
        </message>
        <message>
            <source>Choose a machine first.</source>
            <translation>Zuerst eine Maschine wählen.</translation>
        </message>
        <message>
            <source>Not possible while the machine is {state}.</source>
            <translation>Nicht möglich; Zustand der Maschine: {state}.</translation>
        </message>
        <message>
            <source>{number} million instr/s</source>
            <translation>{number} Mio. Befehle/s</translation>
        </message>
        <message>
            <source>Host CPU {number} %</source>
            <translation>Wirts-CPU {number} %</translation>
        </message>
        <message>
            <source>Memory</source>
            <translation>Speicher</translation>
        </message>
        <message>
            <source>Processors</source>
            <translation>Prozessoren</translation>
        </message>
        <message>
            <source>Engine</source>
            <translation>Ausführung</translation>
        </message>
        <message>
            <source>Firmware</source>
            <translation>Firmware</translation>
        </message>
        <message>
            <source>read-only</source>
            <translation>schreibgeschützt</translation>
        </message>
        <message>
            <source>Boot order</source>
            <translation>Startreihenfolge</translation>
        </message>
        <message>
            <source>Kernel</source>
            <translation>Kernel</translation>
        </message>
        <message>
            <source>Initial RAM disk</source>
            <translation>Anfangs-RAM-Disk</translation>
        </message>
        <message>
            <source>Module</source>
            <translation>Modul</translation>
        </message>
        <message>
            <source>Virtio console</source>
            <translation>Virtio-Konsole</translation>
        </message>
        <message>
            <source>Kernel command line</source>
            <translation>Kernel-Befehlszeile</translation>
        </message>
        <message>
            <source>Display</source>
            <translation>Anzeige</translation>
        </message>
        <message>
            <source>Serial port</source>
            <translation>Serielle Schnittstelle</translation>
        </message>
        <message>
            <source>Time</source>
            <translation>Zeit</translation>
        </message>
        <message>
            <source>deterministic: follows the count of instructions</source>
            <translation>deterministisch: folgt der Zahl der Befehle</translation>
        </message>
        <message>
            <source>file {path}</source>
            <translation>Datei {path}</translation>
        </message>
        <message>
            <source>in this window</source>
            <translation>in diesem Fenster</translation>
        </message>
    </context>
</TS>
