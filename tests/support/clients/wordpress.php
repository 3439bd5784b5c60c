<?php
// As WP Mail SMTP sets WordPress' PHPMailer up from its constants (MailCatcher, Processor).
use PHPMailer\PHPMailer\PHPMailer;

require '/usr/share/php/libphp-phpmailer/autoload.php';
require 'wp-config.php';

WPMS_ON && WPMS_MAILER === 'smtp' || exit(3);
foreach (['FLUENTMAIL_SMTP', 'POST_SMTP_AUTH'] as $plugin) {
    constant("{$plugin}_USERNAME") === WPMS_SMTP_USER || exit(4);
    constant("{$plugin}_PASSWORD") === WPMS_SMTP_PASS || exit(5);
}
$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = WPMS_SMTP_HOST;
$mail->Port = WPMS_SMTP_PORT;
$mail->SMTPSecure = WPMS_SSL;
$mail->SMTPAuth = WPMS_SMTP_AUTH;
$mail->Username = WPMS_SMTP_USER;
$mail->Password = WPMS_SMTP_PASS;
$mail->setFrom(WPMS_MAIL_FROM);
$mail->addAddress($argv[1]);
$mail->Subject = 'A test mail';
$mail->Body = 'It works.';
$mail->send();
